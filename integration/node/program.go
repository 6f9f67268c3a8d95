package node

import (
	"context"
	"time"
)

// Program is a program that runs next to a node, such as a kubelet.
type Program struct {
	Path        string
	Arguments   []string
	Environment []string // In addition to this process's.
	// Log is the file to which its standard output and error are appended.
	Log string
}

// Process is a running [Program].
type Process struct{ process *process }

// StartProgram starts a program in the node's directory. The kernel kills it when this process dies. The caller must
// end it before the node is closed.
func (n *Node) StartProgram(p Program) (*Process, error) { return startProgram(n.directory.path, p) }

func startProgram(directory string, p Program) (*Process, error) {
	process, err := start(program{
		path: p.Path, arguments: p.Arguments, environment: p.Environment, directory: directory, output: p.Log,
	})
	if err != nil {
		return nil, err
	}
	return &Process{process}, nil
}

// Pid returns the process's ID.
func (p *Process) Pid() int { return p.process.command.Process.Pid }

// Exited returns an error once the process has ended.
func (p *Process) Exited() error { return p.process.exited() }

// Stop sends SIGTERM and waits. It kills the process if that takes too long, and returns how the process ended.
func (p *Process) Stop(ctx context.Context) error { return p.process.stop(ctx, grace) }

// Kill kills the process with SIGKILL, unless it has ended.
func (p *Process) Kill() { p.process.kill() }

// Until checks a condition repeatedly until it holds or the context ends, and at most five minutes: the programs that
// tests wait for with it, such as kube-apiserver, start slowly on a loaded machine. The condition may run a program,
// so it is checked only a few times a second. The error says what was waited for, and includes the last error of the
// condition.
func Until(ctx context.Context, what string, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	return pollEvery(ctx, 200*time.Millisecond, what, condition)
}

// Tail returns the end of a log for error output.
func Tail(path string) string { return tail(path) }
