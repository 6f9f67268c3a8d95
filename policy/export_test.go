package policy

// ScopesFromReference is what [ScopesAbove] has to return for a scope that a reference selects.
func ScopesFromReference(scope string) []string { return scopesFromReference(scope) }
