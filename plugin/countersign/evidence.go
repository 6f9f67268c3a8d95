package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/policy"
)

// evidenceCommand is what the subcommands of "evidence" share.
type evidenceCommand struct {
	stdout, stderr io.Writer
	// path is the path of the configuration, from the flag.
	path string
}

func newEvidenceCommand(stdout, stderr io.Writer) *cobra.Command {
	e := &evidenceCommand{stdout: stdout, stderr: stderr}
	command := &cobra.Command{
		Use:   "evidence",
		Short: "List, show, fetch, export and import stored signatures and bundles",
		Long: `evidence manages the signatures and Sigstore bundles that this node stores, so that no decision
waits for a registry. Stored evidence is not trusted: each decision verifies what it uses.

To supply a node that cannot reach its registries: fetch and export on a node that can, copy the
file, and import it.

list, show and export read the evidence directory, with or without a running daemon. fetch and
import use the daemon if it runs, and otherwise open the directory themselves.`,
		Args: onlyCommands,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.PersistentFlags().StringVar(&e.path, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	command.AddCommand(e.newList(), e.newShow(), e.newFetch(), e.newExport(), e.newImport())
	return command
}

// config returns the node's configuration.
func (e *evidenceCommand) config() (*conf.Config, error) { return conf.Read(e.path) }

// onNode returns the manifests of the image that has a reference on this node.
func onNode(ctx context.Context, config *conf.Config, ref reference.Named) ([]policy.Manifest, error) {
	source, err := openContainerd(ctx, config, ref.String())
	if err != nil {
		return nil, err
	}
	defer source.close()
	image, err := source.image(ctx, policy.Question{Reference: ref.String(), Config: source.config})
	if err != nil {
		return nil, err
	}
	return image.Manifests, nil
}

// failures returns the exit status of a command that has printed an error for each failure.
func failures(count int) error {
	if count > 0 {
		return &exitError{exitFailed}
	}
	return nil
}

// exitFailed is the exit status of a command that succeeded only in part.
const exitFailed = 1

// formatTime formats times for output; the zero time becomes the empty string.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// checkOutput returns an error unless output is a supported format.
func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("--output %q is not text or json", output)
	}
	return nil
}
