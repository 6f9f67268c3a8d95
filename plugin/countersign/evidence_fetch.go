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
	"github.com/countersign/countersign/plugin/internal/text"
)

// fetchTimeout is how long the evidence of one image may take to fetch, unless a flag says otherwise.
const fetchTimeout = time.Minute

func (e *evidenceCommand) newFetch() *cobra.Command {
	var request daemon.FetchRequest
	command := &cobra.Command{
		Use:   "fetch REFERENCE... | --all",
		Short: "Fetch signatures and bundles from registries",
		Long: `fetch has the signatures and bundles of images looked for now, as the node would before it needs
them, and keeps them.

A reference means the image that has it on this node; what is not here is looked up in its
registry, for this machine's platform. With --all it is every image on this node of which some
policy asks a signature.

Exit status: 0 all registries have answered, with signatures or with none; 1 some have not.`,
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
				return fmt.Errorf("--timeout %s is no time at all", request.Timeout)
			}
			request.References = arguments
			return e.fetch(command.Context(), request)
		},
	}
	command.Flags().BoolVar(&request.All, "all", false, "all images on this node of which a policy asks a signature")
	command.Flags().DurationVar(&request.Timeout, "timeout", fetchTimeout, "how long one image may take")
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

// fetchProgress tells how fetching goes: on a terminal by one line that changes, and else by one line for each image.
type fetchProgress struct {
	stdout, stderr           io.Writer
	terminal                 bool
	fetched, unasked, failed int
}

// clearLine moves to the beginning of a terminal's line and clears it (ECMA-48: CR, EL).
const clearLine = "\r\x1b[K"

func (t *fetchProgress) tell(report daemon.FetchReport) error {
	name, line := text.Printable(report.Reference), ""
	if report.Of > 0 {
		t.unfinished(report)
		return nil
	}
	switch {
	case report.Error != "":
		t.failed++
		t.clear()
		fmt.Fprintf(t.stderr, "countersign: %s: %s\n", name, text.Printable(report.Error))
	case report.NotRequired:
		t.unasked++
		line = name + ": not fetched, for no policy asks for a signature of it"
	default:
		t.fetched++
		line = fmt.Sprintf("%s: %s and %s kept, of %s", name, count(report.Signatures, "signature"),
			count(report.Bundles, "bundle"), count(report.Manifests, "manifest"))
	}
	if t.terminal {
		fmt.Fprintf(t.stderr, "%s%d of %d: %s", clearLine, report.Done, report.Total, name)
		return nil
	}
	if line == "" {
		return nil
	}
	if _, err := fmt.Fprintln(t.stdout, line); err != nil {
		return fmt.Errorf("telling what was fetched: %w", err)
	}
	return nil
}

// unfinished prints how much of an image is read.
func (t *fetchProgress) unfinished(report daemon.FetchReport) {
	name, read := text.Printable(report.Reference), referrersRead(report.Read, report.Of)
	if t.terminal {
		fmt.Fprintf(t.stderr, "%s%d of %d: %s: %s", clearLine, report.Done, report.Total, name, read)
		return
	}
	fmt.Fprintf(t.stderr, "countersign: %s: %s\n", name, read)
}

// referrersRead is the text of a [fetch.ProgressFunc].
func referrersRead(read, of int) string {
	return fmt.Sprintf("%d of %s read", read, count(of, "referrer"))
}

func (t *fetchProgress) clear() {
	if t.terminal {
		fmt.Fprint(t.stderr, clearLine)
	}
}

// end says on a terminal what came of it all.
func (t *fetchProgress) end() {
	if !t.terminal {
		return
	}
	t.clear()
	fmt.Fprintf(t.stdout, "fetched evidence of %s; %d failed; of %d no policy asks for a signature\n",
		count(t.fetched, "image"), t.failed, t.unasked)
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// isTerminal reports whether somebody looks at what is written.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
