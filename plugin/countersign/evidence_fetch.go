package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

func (e *evidenceCommand) newFetch() *cobra.Command {
	var request fetchRequest
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
	command.Flags().DurationVar(&request.Timeout, "timeout", fetchPatience, "how long one image may take")
	return command
}

func (e *evidenceCommand) fetch(ctx context.Context, request fetchRequest) error {
	worker, err := e.worker(ctx)
	if err != nil {
		return err
	}
	defer worker.close()
	told := &fetchTeller{stdout: e.stdout, stderr: e.stderr, terminal: isTerminal(e.stderr)}
	if err := worker.fetchAll(ctx, request, told.tell); err != nil {
		return err
	}
	told.end()
	return failures(told.failed)
}

// fetchTeller tells how fetching goes: on a terminal by one line that changes, and else by one line for each image.
type fetchTeller struct {
	stdout, stderr           io.Writer
	terminal                 bool
	fetched, unasked, failed int
}

// clearLine moves to the beginning of a terminal's line and clears it (ECMA-48: CR, EL).
const clearLine = "\r\x1b[K"

func (t *fetchTeller) tell(report fetchReport) error {
	name, line := printable(report.Reference), ""
	if report.Of > 0 {
		t.progress(report)
		return nil
	}
	switch {
	case report.Error != "":
		t.failed++
		t.clear()
		fmt.Fprintf(t.stderr, "countersign: %s: %s\n", name, printable(report.Error))
	case report.Unasked:
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

// progress prints how much of an image is read.
func (t *fetchTeller) progress(report fetchReport) {
	name := printable(report.Reference)
	if t.terminal {
		fmt.Fprintf(t.stderr, "%s%d of %d: %s: %s",
			clearLine, report.Done, report.Total, name, referrersRead(report.Read, report.Of))
		return
	}
	fmt.Fprintf(t.stderr, "countersign: %s: %s\n", name, referrersRead(report.Read, report.Of))
}

// referrersRead is the text of a [progressFunc].
func referrersRead(read, of int) string {
	return fmt.Sprintf("%d of %s read", read, count(of, "referrer"))
}

func (t *fetchTeller) clear() {
	if t.terminal {
		fmt.Fprint(t.stderr, clearLine)
	}
}

// end says on a terminal what came of it all.
func (t *fetchTeller) end() {
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
