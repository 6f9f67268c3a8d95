package containerd

import "time"

// ConfigFlag returns the value of --config in a command line.
func ConfigFlag(arguments []string) string { return configFlag(arguments) }

// VerifierIn returns why containerd does not run countersign-verifier from a directory.
func VerifierIn(directory string, limit int) error { return verifierIn(directory, limit) }

// Unserved returns why a containerd with that configuration and these remote snapshotters cannot be served.
func Unserved(c *Config, remote []string) error {
	if err := c.Restores(); err != nil {
		return err
	}
	return c.UsesRemote(remote)
}

// StartTime returns when a process was started.
func StartTime(stat, uptime string, now time.Time) (time.Time, error) {
	return startTime(stat, uptime, now)
}
