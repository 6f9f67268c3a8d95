package doctor

// Canary returns the checks of the canaries.
func Canary() []Check { return canaryChecks() }

// IsAnswer reports whether canaries need not be tried again.
func IsAnswer(found Canaries) bool { return found.isAnswer() }

// LockCanaries locks the canaries of the containerd at an address.
func LockCanaries(address string) (unlock func(), err error) { return lockCanaries(address) }

// ExitProgram returns the program of the canaries' image.
func ExitProgram(architecture string) []byte { return exitProgram(architecture) }
