package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"github.com/countersign/countersign/plugin/supervisor"
)

// Supervisor is what runs the daemon: systemd, or our own supervisor if containerd starts countersign.
type Supervisor struct {
	// Installed is set if containerd is to start our own supervisor.
	Installed bool
	// PID is its process ID; 0: it does not run.
	PID int
	// Unit is the state of the unit, as systemctl is-enabled prints it. It is empty if systemd does not run, or if
	// Installed is set.
	Unit string
}

// readSupervisor reads what runs the daemon on the host. Our own supervisor is installed if its settings are there.
func readSupervisor(ctx context.Context) (found Known[Supervisor]) {
	if _, err := os.Lstat(supervisor.Settings); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			found.Err = err
			return found
		}
		found.Value.Unit, found.Err = unitState(ctx)
		return found
	}
	found.Value.Installed = true
	node, err := supervisor.StandardNode()
	if err != nil {
		found.Err = err
		return found
	}
	state, err := node.State()
	found.Value.PID, found.Err = state.Supervisor, err
	return found
}

// unitState returns the state of the daemon's unit, or an empty string if systemd does not run.
func unitState(ctx context.Context) (string, error) {
	if !supervisor.SystemdRuns() {
		return "", nil
	}
	// The exit status is that of the state: 1 for a unit that is disabled or absent.
	output, err := exec.CommandContext(ctx, "systemctl", "is-enabled", "countersign.service").Output()
	if state := strings.TrimSpace(string(output)); state != "" {
		return state, nil
	}
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("systemctl is-enabled countersign.service: %s", strings.TrimSpace(string(failed.Stderr)))
	}
	return "", err
}

func supervised(n *Node) Answer {
	found := n.Supervisor
	switch {
	case found.Err != nil:
		return unknown(found.Err)
	case !found.Value.Installed:
		return startedAtBoot(found.Value.Unit)
	case found.Value.PID == 0:
		return no("no supervisor runs: if the daemon ends, no other one is started")
	default:
		return yes(fmt.Sprintf("process %d", found.Value.PID))
	}
}

// startedAtBoot reports whether systemd starts the daemon when the node boots (systemctl(1), is-enabled).
func startedAtBoot(unit string) Answer {
	switch unit {
	case "":
		return yes("systemd does not run here")
	case "enabled", "static", "indirect", "generated", "alias":
		return yes("systemd starts it")
	default:
		return no("countersign.service is " + unit + ": systemd does not start it when the node boots")
	}
}

// remedy returns a remedy for a node whose daemon may be no service.
func (n *Node) remedy(text string) string {
	if !n.Supervisor.Value.Installed {
		return text
	}
	return strings.NewReplacer(
		"systemctl start countersign", "systemctl restart containerd",
		"systemctl reload countersign", "kill -HUP $(cat /run/countersign/supervisor.lock)",
		"systemctl restart countersign", "kill $(cat /run/countersign/daemon.lock)",
		"journalctl -u countersign", "journalctl -t countersign",
	).Replace(text)
}
