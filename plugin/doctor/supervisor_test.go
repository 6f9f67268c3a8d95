package doctor_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/internal/socket"
)

// TestARemedyIsForHowTheDaemonRuns: systemd knows no service where containerd starts countersign.
func TestARemedyIsForHowTheDaemonRuns(t *testing.T) {
	for name, test := range map[string]struct {
		installed bool
		want      map[string]string
	}{
		"a service": {false, map[string]string{
			"daemon": "systemctl start countersign;", "reloaded": "systemctl reload countersign;",
		}},
		"a plugin": {true, map[string]string{
			"daemon":   "systemctl restart containerd; journalctl -t countersign",
			"reloaded": "kill -HUP $(cat /run/countersign/supervisor.lock);",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			node := newHost(t).read()
			node.Supervisor.Value.Installed = test.installed
			node.Supervisor.Value.PID = 1
			node.Daemon.Value.Mode = "audit"
			remedy := examine(node)["reloaded"].Remedy
			node.Daemon.Err = socket.ErrNoDaemon
			for check, got := range map[string]string{"reloaded": remedy, "daemon": examine(node)["daemon"].Remedy} {
				if !strings.HasPrefix(got, test.want[check]) {
					t.Errorf("the remedy of %s is %q, want %q", check, got, test.want[check])
				}
			}
		})
	}
}
