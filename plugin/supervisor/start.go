package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// Standard paths.
const (
	// Directory has the locks.
	Directory = "/run/countersign"
	// Settings has the environment of the daemon. containerd expects the configuration of the plugin there.
	Settings = "/etc/nri/conf.d/10-countersign.conf"
	// Plugin is the program that containerd starts.
	Plugin = "/opt/nri/plugins/10-countersign"
)

// Node is where the processes of one node find each other.
type Node struct {
	// Directory has the locks.
	Directory string
	// Settings is the file with the environment of the daemon. It need not exist.
	Settings string
	// Journal is the socket of journald, and Logs the directory of log files if there is no journald.
	Journal, Logs string
	// Program is started with the arguments Supervise or Daemon.
	Program           string
	Supervise, Daemon []string
}

// StandardNode returns the node of the operating system, whose program is this one.
func StandardNode() (*Node, error) {
	program := os.Args[0]
	if !filepath.IsAbs(program) {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("finding this program: %w", err)
		}
	}
	return &Node{
		Directory: Directory, Settings: Settings, Journal: "/run/systemd/journal/stdout", Logs: "/var/log/countersign",
		Program: program, Supervise: []string{"supervise"}, Daemon: []string{"run", "--supervised"},
	}, nil
}

func (n *Node) lock(name string) string { return filepath.Join(n.Directory, name) }

// Ensure starts a supervisor unless one runs. It reports whether it did.
func (n *Node) Ensure() (started bool, err error) {
	lock, err := acquire(n.lock(supervisorLock), false)
	if errors.Is(err, errHeld) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	command, err := n.start(lock, []string{"PATH=" + standardPath}, n.Supervise)
	if err != nil {
		return false, err
	}
	return true, command.Process.Release()
}

// start starts the program in a session of its own, and gives a lock to it.
func (n *Node) start(lock *os.File, environment, arguments []string) (*exec.Cmd, error) {
	defer lock.Close()
	output, err := n.openLog()
	if err != nil {
		return nil, err
	}
	defer output.Close()
	command := exec.Command(n.Program, arguments...) //nolint:noctx // It runs longer than this process.
	command.Dir, command.Env = "/", environment
	command.Stdout, command.Stderr = output, output
	command.ExtraFiles = []*os.File{lock} // The first one becomes descriptor 3.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", n.Program, err)
	}
	return command, nil
}
