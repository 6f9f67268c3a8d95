package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/systemd"
)

// explainFromJournal measures explanations from a journal that a real journald has written, with the records of an
// audit log. The journal is that of a machine, on which the daemon does not run: journalctl is told where it is.
func (b *bench) explainFromJournal(ctx context.Context, daemon *node.Daemon, log string, s explainSubject) (err error) {
	root, err := systemd.Root(ctx, b.progress)
	if err != nil {
		return err
	}
	machine, err := systemd.New(systemd.Config{Root: root, Programs: b.tools.Directory})
	if err != nil {
		return err
	}
	defer func() { closing(&err, machine.Close) }()
	if err := fillJournal(ctx, machine, log); err != nil {
		return err
	}
	programs := filepath.Join(b.directory, "journal")
	script := fmt.Sprintf("#!/bin/sh\nexec /usr/bin/journalctl --directory=%s \"$@\"\n", machine.Path("/var/log/journal"))
	config := filepath.Join(programs, "config.toml")
	raw, err := os.ReadFile(daemon.ConfigFile())
	if err != nil {
		return fmt.Errorf("reading the configuration of the daemon: %w", err)
	}
	err = errors.Join(
		os.Mkdir(programs, 0o700),
		os.WriteFile(filepath.Join(programs, "journalctl"), []byte(script), 0o700), //nolint:gosec // It is a program.
		os.WriteFile(config, bytes.ReplaceAll(raw, []byte(log), nil), 0o600),
	)
	if err != nil {
		return err
	}
	s.environment = []string{"PATH=" + programs + ":" + os.Getenv("PATH")}
	s.what = "a container that was refused, from the last thousands of records of a long journal"
	return b.explain(ctx, config, s)
}

// recentLines writes an audit log, and the records at its beginning again.
const recentLines = "{ cat /root/audit.log; head -n 2000 /root/audit.log; }"

// fillJournal boots a machine, and writes the lines of an audit log to its journal as countersign's supervisor does.
// The first 2,000, among them those about the pod, are repeated: the kubelet repeats its attempts, and journalctl takes
// seconds for what is 100,000 records old.
func fillJournal(ctx context.Context, machine *systemd.Machine, log string) error {
	const settings = "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nSystemMaxUse=2G\nSystemKeepFree=0\n"
	raw, err := os.ReadFile(log)
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	err = errors.Join(
		machine.Write("/etc/systemd/journald.conf.d/bench.conf", settings, 0o644),
		machine.Write("/root/audit.log", string(raw), 0o600),
	)
	if err != nil {
		return err
	}
	if err := machine.Boot(ctx); err != nil {
		return err
	}
	_, err = machine.Run(ctx, "systemd-cat", "--identifier=countersign", "sh", "-c", recentLines)
	if err != nil {
		return err
	}
	_, err = machine.Run(ctx, "journalctl", "--sync")
	return err
}
