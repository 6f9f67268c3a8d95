package kubernetes_test

import (
	"os/exec"
	"testing"
)

// TestDoctorNextToAKubelet: the kubelet stops pods that it did not create, within seconds, and also those of doctor.
func TestDoctorNextToAKubelet(t *testing.T) {
	l := newLab(t, labConfig{})
	l.wantRunning(t, dev, l.run(t, dev, l.Push(t, "app:v1"), nil))
	for range 20 {
		// No verifier is installed, and the clock of a test machine may not be synchronised.
		command := exec.CommandContext(t.Context(), l.Program, "doctor", "--config", l.Daemon.ConfigFile(),
			"--skip", "verifier,clock", "--timeout", "1m")
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("doctor ends with %v:\n%s", err, output)
		}
	}
}
