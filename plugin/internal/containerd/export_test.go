package containerd

// ConfigFlag returns the value of --config in a command line.
func ConfigFlag(arguments []string) string { return configFlag(arguments) }

// VerifierIn returns why containerd does not run countersign-verifier from a directory.
func VerifierIn(directory string, limit int) error { return verifierIn(directory, limit) }
