package monitoring_test

import (
	"os/exec"
	"testing"
)

// TestTheAlerts runs promtool on the alerts and on their tests.
func TestTheAlerts(t *testing.T) {
	tools := programs(t)
	for _, arguments := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}} {
		command := exec.CommandContext(t.Context(), tools.Path("promtool"), arguments...)
		command.Dir = directory
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", arguments, err, output)
		}
	}
}
