package systemd

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/countersign/countersign/integration/node"
)

//go:embed boot.sh
var bootScript []byte

// Config is what a machine is booted with.
type Config struct {
	// Root is the directory of its root filesystem: see [Root].
	Root string
	// Programs is the directory that it has as /opt/tools.
	Programs string
	// Init is its first process; empty: systemd.
	Init []string
}

// Machine is a set of namespaces with a root filesystem of its own.
type Machine struct {
	config    Config
	directory *node.Directory
	process   *node.Process
	// pid is the first process of the machine, as this process sees it.
	pid string
}

// New returns a machine that is not booted yet. The caller must close it.
func New(config Config) (*Machine, error) {
	directory, err := node.NewDirectory()
	if err != nil {
		return nil, err
	}
	m := &Machine{config: config, directory: directory}
	if len(config.Init) == 0 {
		m.config.Init = []string{"/lib/systemd/systemd"}
	}
	if err := os.WriteFile(directory.Path("boot.sh"), bootScript, 0o600); err != nil {
		return nil, errors.Join(err, directory.Remove())
	}
	// It becomes /, and the state of containerd is below it: every user may pass.
	if err := os.Chmod(directory.Path(), 0o711); err != nil { //nolint:gosec // As the root of any machine.
		return nil, errors.Join(err, directory.Remove())
	}
	return m, nil
}

// Write writes a file of a machine before it is booted, or while it runs.
func (m *Machine) Write(path, contents string, mode os.FileMode) error {
	name := m.Path(path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.WriteFile(name, []byte(contents), mode); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Chmod(name, mode)
}

// Path returns a path on the machine as a path of this process. Before the machine is booted, only what was written to
// it is there.
func (m *Machine) Path(path string) string {
	if m.pid == "" {
		return filepath.Join(m.directory.Path("upper"), path)
	}
	return filepath.Join("/proc", m.pid, "root", path)
}

// Boot starts the first process. If it is systemd, Boot waits until it has started the machine.
func (m *Machine) Boot(ctx context.Context) error {
	arguments := []string{
		m.directory.Path("boot.sh"), m.config.Root, m.directory.Path(), m.config.Programs, m.directory.Cgroup(),
	}
	process, err := m.directory.StartProgram(node.Program{
		Path: "/bin/sh", Arguments: append(arguments, m.config.Init...), Log: m.log(),
	})
	if err != nil {
		return fmt.Errorf("booting: %w", err)
	}
	m.process = process
	return node.Until(ctx, "the machine to boot", func(ctx context.Context) error {
		if err := process.Exited(); err != nil {
			return fmt.Errorf("%w\n%s", err, node.Tail(m.log()))
		}
		if err := m.find(); err != nil {
			return err
		}
		if m.config.Init[0] != "/lib/systemd/systemd" {
			return nil
		}
		output, err := m.Run(ctx, "systemctl", "is-system-running")
		if state := strings.TrimSpace(output); state != "running" && state != "degraded" {
			return fmt.Errorf("systemd is %q: %w", state, err)
		}
		return nil
	})
}

func (m *Machine) log() string { return m.directory.Path("boot.log") }

// find finds the first process: the child of unshare, once it is the program that was asked for.
func (m *Machine) find() error {
	processes, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return err
	}
	for _, path := range processes {
		status, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(status), fmt.Sprintf("\nPPid:\t%d\n", m.process.Pid())) {
			continue
		}
		command, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
		if err == nil && strings.HasPrefix(string(command), m.config.Init[0]+"\x00") {
			m.pid = filepath.Base(filepath.Dir(path))
			return nil
		}
	}
	return errors.New("its first process has not started")
}

// Booted reports whether the machine has been booted.
func (m *Machine) Booted() bool { return m.pid != "" }

// Halt ends all processes of the machine at once. Its files stay, and it can be booted again.
func (m *Machine) Halt() {
	if m.process != nil {
		m.process.Kill()
	}
	m.process, m.pid = nil, ""
}

// Close ends the machine and removes its files.
func (m *Machine) Close() error {
	m.Halt()
	return m.directory.Remove()
}

// Run runs a program on the machine and returns its standard output. Its error has what the program prints.
func (m *Machine) Run(ctx context.Context, program string, arguments ...string) (string, error) {
	command := m.Command(ctx, program, arguments...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s%s", program, strings.Join(arguments, " "), err,
			tail(stdout.String()), tail(stderr.String()))
	}
	return stdout.String(), nil
}

// tail returns the end of what a program prints.
func tail(text string) string { return text[max(0, len(text)-2048):] }

// Command returns a command that runs a program on the machine.
func (m *Machine) Command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	enter := []string{"--target", m.pid, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--", program}
	command := exec.CommandContext(ctx, "nsenter", append(enter, arguments...)...)
	command.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "SYSTEMD_PAGER="}
	return command
}
