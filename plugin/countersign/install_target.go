package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/install"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/plugin/supervisor"
)

// target is the host on which countersign is installed.
type target struct {
	root string
	// live is set if it is the host on which this program runs.
	live      bool
	system    *install.System
	installer *install.Installer
	stdout    io.Writer
}

// validateRoot returns an error unless a host's root can be changed by this process.
func validateRoot(root string) error {
	info, err := os.Stat(root)
	if err != nil {
		return fmt.Errorf("--root: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("--root %s is not a directory", root)
	}
	if os.Geteuid() != 0 && root == "/" {
		return errors.New("only root can change this host: use sudo")
	}
	return nil
}

// options returns what is installed.
func (t *target) options(ctx context.Context, flags installFlags) (install.Options, error) {
	options := install.Options{
		Mode: install.Mode(flags.mode), Runner: flags.runner, Containerd: flags.containerdConfig, Version: thisVersion(),
	}
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return options, fmt.Errorf("finding this program: %w", err)
	}
	verifier := flags.verifier
	if verifier == "" {
		verifier = filepath.Join(filepath.Dir(self), "countersign-verifier")
	}
	if options.Countersign, err = t.program(self); err != nil {
		return options, err
	}
	if options.Verifier, err = t.program(verifier); err != nil {
		return options, fmt.Errorf("%w; name the program countersign-verifier with --verifier", err)
	}
	if flags.systemPolicy != "" {
		if options.SystemPolicy, err = os.ReadFile(flags.systemPolicy); err != nil {
			return options, fmt.Errorf("--system-policy: %w", err)
		}
	}
	if options.Containerd == "" && t.live {
		options.Containerd, err = runningConfig(ctx)
	}
	return options, err
}

// runningConfig returns the configuration file of the running containerd; empty: none runs, and its standard file is
// configured.
func runningConfig(ctx context.Context) (string, error) {
	config, err := conf.Read("")
	if err != nil {
		return "", err
	}
	for _, address := range []string{config.Containerd.Address, "/run/k3s/containerd/containerd.sock"} {
		if path, err := containerd.ConfigPath(ctx, address); err == nil {
			return path, nil
		}
	}
	return "", nil
}

// program returns a program to install. One that is in a directory for programs of the host stays there.
func (t *target) program(path string) (install.Program, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return install.Program{}, err
	}
	within, err := filepath.Rel(t.root, path)
	directories := []string{"usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"}
	if err == nil && slices.Contains(directories, filepath.Dir(within)) {
		if _, err := os.Stat(path); err != nil {
			return install.Program{}, err
		}
		return install.Program{Installed: "/" + within}, nil
	}
	contents, err := os.ReadFile(path)
	return install.Program{Contents: contents}, err
}

func (t *target) newSystem() *install.System {
	return &install.System{
		Systemctl: func(ctx context.Context, arguments ...string) (string, error) {
			output, err := exec.CommandContext(ctx, "systemctl", arguments...).CombinedOutput()
			return string(output), err
		},
		Ready:      t.ready,
		Supervisor: askSupervisor,
		Progress:   func(text string) { fmt.Fprintln(t.stdout, text) },
	}
}

// supervisorTimeout is how long a supervisor may take for what it is asked for. Pulls that the daemon serves may take
// four minutes.
const supervisorTimeout = 5 * time.Minute

// askSupervisor asks the supervisor of this host.
func askSupervisor(ctx context.Context, request install.SupervisorRequest) error {
	node, err := supervisor.StandardNode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, supervisorTimeout)
	defer cancel()
	switch request {
	case install.ReloadDaemon:
		return node.Reload(ctx)
	case install.ReplaceSupervisor:
		return node.Replace(ctx)
	case install.StopSupervisor:
		return node.Stop(ctx)
	default:
		return node.Find(ctx)
	}
}

// supervisor returns the process ID of the supervisor of this host; 0: none runs, or it is unknown.
func (t *target) supervisor() int {
	if !t.live {
		return 0
	}
	node, err := supervisor.StandardNode()
	if err != nil {
		return 0
	}
	state, err := node.State()
	if err != nil {
		return 0
	}
	return state.Supervisor
}

// daemonAnswers reports whether a daemon runs.
func daemonAnswers(ctx context.Context) bool {
	config, err := conf.Read("")
	if err != nil {
		return false
	}
	_, err = daemon.ReadStatus(ctx, socket.NewClient(config.Listen.Socket))
	return err == nil
}

// readyTimeout is how long install waits for the daemon.
const readyTimeout = time.Minute

// ready waits until the daemon is registered and, if enforce is set, required.
func (t *target) ready(ctx context.Context, enforce bool) error {
	config, err := conf.Read("")
	if err != nil {
		return err
	}
	checks := []string{"registered"}
	if enforce {
		checks = append(checks, "required")
	}
	notReady := func(status daemon.Status) error {
		for _, name := range checks {
			if check := status.Check(name); check.Status != "yes" {
				return fmt.Errorf("%s: %s: %s", name, check.Status, check.Cause)
			}
		}
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	status, err := awaitStatus(waiting, socket.NewClient(config.Listen.Socket), func(status daemon.Status) bool {
		return notReady(status) == nil
	})
	if err == nil {
		err = notReady(status)
	}
	if err != nil {
		return fmt.Errorf("countersign is not ready: %w", err)
	}
	return nil
}
