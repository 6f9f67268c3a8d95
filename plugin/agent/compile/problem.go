package compile

// Reason says why a policy is not in force as written. It is the reason of the condition in the policy's status.
type Reason string

// The reasons.
const (
	// ConflictScopes: scopes have no effect, because the cluster or the node governs them.
	ConflictScopes Reason = "ConflictScopes"
	// UnmatchableScopes: no image name can match scopes, so they have no effect.
	UnmatchableScopes Reason = "UnmatchableScopes"
	// InvalidPolicy: the policy cannot be used, so it refuses every image of its scopes.
	InvalidPolicy Reason = "InvalidPolicy"
	// InvalidSelector: the selector cannot be read, so the policy applies in every namespace.
	InvalidSelector Reason = "InvalidSelector"
)

// Problem describes a part of a policy that is not in force as written.
type Problem struct {
	Reason Reason
	// Scope is the scope that the problem is about. It is empty if it is about the whole policy.
	Scope string
	// Detail says what is wrong and what follows, in a sentence.
	Detail string
}
