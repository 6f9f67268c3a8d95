package install_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign/countersign/plugin/install"
	"github.com/countersign/countersign/plugin/install/journal"
)

// killed is the environment of the processes that end themselves in the middle of an operation.
const killed = "COUNTERSIGN_TEST_KILLED"

func TestMain(m *testing.M) {
	if operation := os.Getenv(killed); operation != "" {
		os.Exit(operate(operation, os.Args[1], os.Args[2]))
	}
	// In memory, a synchronized file costs nothing.
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		_ = os.Setenv("TMPDIR", "/dev/shm")
	}
	os.Exit(m.Run())
}

// operate carries out an operation on a root, and kills this process at one of its steps; 0: at none. It prints the
// number of steps.
func operate(operation, root, at string) int {
	killAt, err := strconv.Atoi(at)
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	steps := 0
	step := func() {
		if steps++; steps == killAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	if err := run(ctx, operation, &journal.Host{Root: root, Step: step}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Fprintln(os.Stdout, steps)
	return 0
}

// run carries out one operation after what an interrupted one has left.
func run(ctx context.Context, operation string, host *journal.Host) error {
	installer, err := install.Open(host, nil)
	if err != nil {
		return err
	}
	defer installer.Close()
	if _, err := installer.Recover(ctx); err != nil {
		return err
	}
	if operation == "uninstall" {
		if _, err := installer.Uninstall(ctx, install.Removal{}); !errors.Is(err, install.ErrNotInstalled) {
			return err
		}
		return nil
	}
	options := optionsOf(operation)
	plan, err := installer.Plan(ctx, options)
	if err != nil {
		return err
	}
	return installer.Apply(ctx, plan)
}

// optionsOf returns the options of an operation such as "audit" or "enforce 2", whose number is a version. "same" has
// no mode. "enforce plugin 2" is for an NRI plugin, and "audit service 2" for a service. With a version like
// "installed", the programs are those of an earlier installation.
func optionsOf(operation string) install.Options {
	mode, version := install.Mode(""), "1"
	runner := install.Runner("")
	for word, named := range map[string]install.Runner{" plugin": install.NRIPlugin, " service": install.Service} {
		if without := strings.Replace(operation, word, "", 1); without != operation {
			operation, runner = without, named
		}
	}
	_, _ = fmt.Sscanf(operation, "%s %s", &mode, &version)
	if mode == "same" {
		mode = ""
	}
	if strings.HasPrefix(version, "installed") {
		return install.Options{
			Mode: mode, Runner: runner, Version: version,
			Countersign: install.Program{Installed: "/usr/local/bin/countersign"},
			Verifier:    install.Program{Installed: "/usr/local/bin/countersign-verifier"},
		}
	}
	return install.Options{
		Mode: mode, Runner: runner, Version: version,
		Countersign: install.Program{Contents: []byte("#!/bin/sh\necho countersign " + version + "\n")},
		Verifier:    install.Program{Contents: []byte("#!/bin/sh\necho verifier " + version + "\n")},
	}
}
