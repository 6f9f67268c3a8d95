package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

// auditFlags are the flags of audit.
type auditFlags struct {
	auditPlace

	output, namespace string
	since             time.Duration
	denied            bool
}

func newAuditCommand(stdin io.Reader, stdout io.Writer) *cobra.Command {
	flags := auditFlags{}
	command := &cobra.Command{
		Use:   "audit [flags] [FILE]",
		Short: "Show the decisions and pulls in the audit log",
		Long: `audit shows the records of the audit log, one in each line. It reads FILE, or standard input if FILE
is -. Without FILE it reads the file that audit.file in config.toml names, with its rotated files, and
without that, the journal of the service.

-o json prints the records as the daemon wrote them: docs/reference.md describes their keys.

Exit status: 0; 2 if the audit log cannot be read.`,
		Example: `  countersign audit --since 1h
  countersign audit --denied --namespace prod
  countersign audit --follow --denied
  countersign audit --since 24h -o json | jq -r .reason | sort | uniq -c
  ssh NODE journalctl -u countersign -o cat | countersign audit -`,
		Args: atMostOneLog,
		RunE: func(command *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			file := ""
			if len(args) > 0 {
				file = args[0]
			}
			return showAudit(ctx, flags, file, auditStreams{stdin, stdout})
		},
	}
	set := command.Flags()
	set.StringVar(&flags.config, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	set.StringVar(&flags.unit, "unit", daemonUnit, "the systemd unit whose journal is read")
	set.StringVarP(&flags.output, "output", "o", "text", "text or json")
	set.StringVarP(&flags.namespace, "namespace", "n", "", "only this Kubernetes namespace")
	set.DurationVar(&flags.since, "since", 0, "only records of this last `duration`, like 1h (default: all)")
	set.BoolVar(&flags.denied, "denied", false, "only what was refused, or would be in enforce mode")
	set.BoolVarP(&flags.follow, "follow", "f", false, "wait for new records; without --since, show only new ones")
	return command
}

func atMostOneLog(_ *cobra.Command, args []string) error {
	switch {
	case len(args) > 1:
		return fmt.Errorf("audit takes at most one file, not %d: countersign audit [flags] [FILE]", len(args))
	case len(args) == 1 && args[0] == "":
		return errors.New("the name of the file is empty")
	default:
		return nil
	}
}

// auditStreams are the standard input and output of the command.
type auditStreams struct {
	in  io.Reader
	out io.Writer
}

func showAudit(ctx context.Context, flags auditFlags, file string, streams auditStreams) error {
	if err := checkOutput(flags.output); err != nil {
		return err
	}
	if flags.since < 0 {
		return fmt.Errorf("--since %s is not a positive duration", flags.since)
	}
	if flags.namespace != "" && !policy.ValidNamespace(flags.namespace) {
		return fmt.Errorf("--namespace %q is not a valid namespace of Kubernetes", flags.namespace)
	}
	filter := audit.Filter{Namespace: flags.namespace, Denied: flags.denied}
	if flags.since > 0 {
		filter.Since = time.Now().Add(-flags.since)
	}
	source, err := auditSource(flags.auditPlace, file, streams.in)
	if err != nil {
		return err
	}
	show := newAuditText(streams.out).write
	if flags.output == "json" {
		show = func(entry audit.Entry) error { _, err := streams.out.Write(append(entry.Line, '\n')); return err }
	}
	if err := source.records(ctx, filter, show); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// records calls show for each record that the filter selects.
func (l auditLog) records(ctx context.Context, filter audit.Filter, show func(audit.Entry) error) error {
	reader := auditReader{filter: filter, show: show}
	if err := l.read(ctx, filter.Since, reader.line); err != nil {
		return err
	}
	return reader.readable(l.name)
}

// readable returns an error if a log that can be searched has no records except as text.
func (l auditLog) readable(ctx context.Context) error {
	lines, reader := 0, auditReader{show: func(audit.Entry) error { return errEnough }}
	err := l.search(ctx, "", func(line []byte) error {
		if lines++; lines > formatLines {
			return errEnough
		}
		return reader.line(line)
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	return reader.readable(l.name)
}

// formatLines is how many of the last lines of a log tell its format.
const formatLines = 1000

// auditReader shows the records among the lines of a log.
type auditReader struct {
	filter audit.Filter
	show   func(audit.Entry) error
	// records and text count lines that are records, as JSON and as text.
	records, text int
}

func (r *auditReader) line(line []byte) error {
	// Parsing takes a hundred times longer than the search. Until there is a record, lines tell the format of the log.
	if r.records > 0 && !r.filter.Mentions(line) {
		return nil
	}
	entry, isRecord := audit.Parse(line)
	if !isRecord {
		if audit.IsText(line) {
			r.text++
		}
		return nil
	}
	r.records++
	if !r.filter.Selects(entry) {
		return nil
	}
	if err := r.show(entry); err != nil {
		return fmt.Errorf("writing a record: %w", err)
	}
	return nil
}

// readable returns an error if there were no records except as text.
func (r *auditReader) readable(name string) error {
	if r.records == 0 && r.text > 0 {
		return fmt.Errorf("%s has records as text, which cannot be read: set log.format = \"json\", or audit.file", name)
	}
	return nil
}
