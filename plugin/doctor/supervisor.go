package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/countersign/countersign/plugin/supervisor"
)

// Supervisor is what runs the daemon if containerd starts countersign, and not systemd.
type Supervisor struct {
	// Installed is set if containerd is to start it.
	Installed bool
	// PID is its process ID; 0: it does not run.
	PID int
}

// readSupervisor reads the supervisor of the host. Its settings are there as long as it is installed.
func readSupervisor() (found Known[Supervisor]) {
	if _, err := os.Lstat(supervisor.Settings); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			found.Err = err
		}
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

func supervised(n *Node) Answer {
	found := n.Supervisor
	switch {
	case found.Err != nil:
		return unknown(found.Err)
	case !found.Value.Installed:
		return yes("systemd starts it")
	case found.Value.PID == 0:
		return no("no supervisor runs: if the daemon ends, no other one is started")
	default:
		return yes(fmt.Sprintf("process %d", found.Value.PID))
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
