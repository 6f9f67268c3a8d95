package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/socket"
)

// statusFlags are the flags of status.
type statusFlags struct {
	config, output string
	wait           bool
	timeout        time.Duration
}

func newStatusCommand(stdout io.Writer) *cobra.Command {
	flags := statusFlags{}
	command := &cobra.Command{
		Use:   "status",
		Short: "Show the state of the daemon on this node",
		Long: `status shows what the running daemon reports: its health checks, how images are identified, the mode
of each namespace, policy documents and their problems, the decisions of the last hour, containers
in drift, and the stored evidence.

Exit status: 0 ready; 1 not ready; 2 the daemon does not answer.`,
		Example: `  countersign status
  countersign status --wait --timeout 2m
  countersign status -o json | jq .checks`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return showStatus(command.Context(), flags, stdout)
		},
	}
	set := command.Flags()
	set.StringVar(&flags.config, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	set.StringVarP(&flags.output, "output", "o", "text", "text or json")
	set.BoolVar(&flags.wait, "wait", false, "wait until the daemon is ready")
	set.DurationVar(&flags.timeout, "timeout", time.Minute, "how long to wait")
	return command
}

func showStatus(ctx context.Context, flags statusFlags, stdout io.Writer) error {
	if err := checkOutput(flags.output); err != nil {
		return err
	}
	if flags.timeout <= 0 {
		return fmt.Errorf("--timeout %s is not a positive duration", flags.timeout)
	}
	config, err := conf.Read(flags.config)
	if err != nil {
		return err
	}
	status, err := readStatus(ctx, socket.NewClient(config.Listen.Socket), flags)
	if err != nil {
		return err
	}
	if flags.output == "json" {
		err = writeJSON(stdout, status)
	} else {
		err = writeStatus(stdout, status)
	}
	if err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	if !status.Ready {
		return &exitError{exitDenied}
	}
	return nil
}

// readStatus returns the daemon's status; with --wait, the first one that is ready, or the last one before the timeout.
func readStatus(ctx context.Context, client *socket.Client, flags statusFlags) (daemon.Status, error) {
	if !flags.wait {
		return daemon.ReadStatus(ctx, client)
	}
	waiting, cancel := context.WithTimeout(ctx, flags.timeout)
	defer cancel()
	return awaitStatus(waiting, client, func(status daemon.Status) bool { return status.Ready })
}

// statusInterval is how often the status is read while a command waits.
const statusInterval = 200 * time.Millisecond

// awaitStatus reads the daemon's status until it is as wanted, or the context ends. It returns the result of the last
// request; the end of the context does not cancel a request, which would hide the cause.
func awaitStatus(
	waiting context.Context, client *socket.Client, wanted func(daemon.Status) bool,
) (daemon.Status, error) {
	ticker := time.NewTicker(statusInterval)
	defer ticker.Stop()
	for {
		status, err := daemon.ReadStatus(context.WithoutCancel(waiting), client)
		if err == nil && wanted(status) {
			return status, nil
		}
		select {
		case <-waiting.Done():
			return status, err
		case <-ticker.C:
		}
	}
}

func writeStatus(w io.Writer, status daemon.Status) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, values ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, values...))
	}
	row("version", "%s", status.Version)
	for _, check := range status.Checks {
		text := check.Status
		if check.Cause != "" {
			text += ": " + check.Cause
		}
		row(check.Check, "%s", text)
	}
	if status.Containerd != "" {
		row("containerd", "%s, images identified by %s", status.Containerd, status.FoundBy)
	}
	row("mode", "%s%s", status.Mode, exceptions(status.Namespaces))
	row("policies", "%d documents, %d with problems", status.Policies.Documents, status.Policies.Failures)
	if cluster := status.Policies.Cluster; cluster != "" {
		row("", "%s applies instead of the system policy", cluster)
	}
	for _, problem := range status.Policies.Problems {
		row("", "%s", problem)
	}
	if len(status.LastHour) == 0 {
		row("last hour", "no decisions")
	}
	for _, decisions := range status.LastHour {
		text := ""
		if decisions.WouldDeny {
			text = ", would be refused if enforced"
		}
		row("last hour", "%d × %s (%s)%s", decisions.Count, decisions.Outcome, decisions.Reason, text)
	}
	row("drift", "%d running containers that the policy refuses", status.DriftCount)
	for _, one := range status.Drifted {
		of := one.Namespace + "/" + one.Pod + "/" + one.Container
		if one.Volume != "" {
			of += ", its image volume at " + one.Volume
		}
		row("", "%s (%s) since %s: %s", of, one.Reason, formatTime(one.Since), one.ContainerID)
	}
	evidence := status.Evidence
	row("evidence", "%d of %d MiB in %s", evidence.Bytes>>20, evidence.MaxBytes>>20, evidence.Directory)
	if status.ImageService != "" {
		row("image service", "%s", status.ImageService)
	}
	if status.Supervised {
		row("run by", "its own supervisor, which containerd starts as NRI plugin")
	}
	return table.Flush()
}

// exceptions returns the namespaces whose mode differs from the mode of all others.
func exceptions(namespaces map[string]string) string {
	var text strings.Builder
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		fmt.Fprintf(&text, ", %s: %s", namespace, namespaces[namespace])
	}
	return text.String()
}
