package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/policy/text"
)

// fetchTimeout is the default limit for fetching the evidence of one image.
const fetchTimeout = time.Minute

func (e *evidenceCommand) newFetch() *cobra.Command {
	var request daemon.FetchRequest
	command := &cobra.Command{
		Use:   "fetch REFERENCE... | --all",
		Short: "Fetch signatures and bundles from registries",
		Long: `fetch fetches and stores the signatures and bundles of images now, before the node needs them.

A reference selects the image that has it on this node; if there is none, fetch resolves the
reference in its registry, for this machine's platform. --all selects every image on this node of
which a policy requires a signature.

Exit status: 0 all registries answered, with signatures or without; 1 some did not.`,
		Example: `  countersign evidence fetch registry.example/app:v1
  countersign evidence fetch --all`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if request.All == (len(arguments) > 0) {
				return errors.New("name references or give --all: countersign evidence fetch REFERENCE... | --all")
			}
			for _, argument := range arguments {
				if _, err := digest.Parse(argument); err == nil {
					return fmt.Errorf("%s names no repository to fetch from; write REPOSITORY@%s", argument, argument)
				}
			}
			return nil
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			if request.Timeout <= 0 {
				return fmt.Errorf("--timeout %s is not a positive duration", request.Timeout)
			}
			request.References = arguments
			return e.fetch(command.Context(), request)
		},
	}
	command.Flags().BoolVar(&request.All, "all", false, "all images on this node of which a policy requires a signature")
	command.Flags().DurationVar(&request.Timeout, "timeout", fetchTimeout, "time `limit` for one image")
	return command
}

func (e *evidenceCommand) fetch(ctx context.Context, request daemon.FetchRequest) error {
	service, err := e.service(ctx)
	if err != nil {
		return err
	}
	defer service.close()
	progress := &fetchProgress{stdout: e.stdout, stderr: e.stderr, terminal: isTerminal(e.stderr)}
	if err := service.fetchAll(ctx, request, progress.tell); err != nil {
		return err
	}
	progress.end()
	return failures(progress.failed)
}

// fetchProgress prints progress: on a terminal in one line that changes, and otherwise in one line per image.
type fetchProgress struct {
	stdout, stderr           io.Writer
	terminal                 bool
	fetched, unasked, failed int
}

// clearLine moves to the beginning of a terminal's line and clears it (ECMA-48: CR, EL).
const clearLine = "\r\x1b[K"

func (t *fetchProgress) tell(report daemon.FetchReport) error {
	name, line := text.OneLine(report.Reference), ""
	if report.Of > 0 {
		t.unfinished(report)
		return nil
	}
	switch {
	case report.Error != "":
		t.failed++
		t.clear()
		fmt.Fprintf(t.stderr, "countersign: %s: %s\n", name, text.OneLine(report.Error))
	case report.NotRequired:
		t.unasked++
		line = name + ": not fetched: no policy requires a signature of it"
	default:
		t.fetched++
		line = fmt.Sprintf("%s: stored %s of %s", name,
			counts(report.Signatures, report.Bundles, report.Attestations), count(report.Manifests, "manifest"))
	}
	if t.terminal {
		fmt.Fprintf(t.stderr, "%s%d of %d: %s", clearLine, report.Done, report.Total, name)
		return nil
	}
	if line == "" {
		return nil
	}
	if _, err := fmt.Fprintln(t.stdout, line); err != nil {
		return fmt.Errorf("printing what was fetched: %w", err)
	}
	return nil
}

// unfinished prints how much of an image has been read.
func (t *fetchProgress) unfinished(report daemon.FetchReport) {
	name, read := text.OneLine(report.Reference), referrersRead(report.Read, report.Of)
	if t.terminal {
		fmt.Fprintf(t.stderr, "%s%d of %d: %s: %s", clearLine, report.Done, report.Total, name, read)
		return
	}
	fmt.Fprintf(t.stderr, "countersign: %s: %s\n", name, read)
}

// referrersRead formats the arguments of a [fetch.ProgressFunc].
func referrersRead(read, of int) string {
	return fmt.Sprintf("%d of %s read", read, count(of, "referrer"))
}

func (t *fetchProgress) clear() {
	if t.terminal {
		fmt.Fprint(t.stderr, clearLine)
	}
}

// end prints the summary on a terminal.
func (t *fetchProgress) end() {
	if !t.terminal {
		return
	}
	t.clear()
	fmt.Fprintf(t.stdout, "fetched evidence of %s; %d failed; no policy requires a signature of %d\n",
		count(t.fetched, "image"), t.failed, t.unasked)
}

// count formats a number with a noun.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
