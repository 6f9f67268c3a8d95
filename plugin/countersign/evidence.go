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

// evidenceCommand is what the commands below "evidence" have in common.
type evidenceCommand struct {
	stdout, stderr io.Writer
	// path is that of the configuration, as given.
	path string
}

func newEvidenceCommand(stdout, stderr io.Writer) *cobra.Command {
	e := &evidenceCommand{stdout: stdout, stderr: stderr}
	command := &cobra.Command{
		Use:   "evidence",
		Short: "List, show, fetch, export and import what is kept of signatures",
		Long: `evidence is about the signatures and Sigstore bundles that this node keeps, so that no decision
waits for a registry. Nothing of it is trusted: each decision verifies what it uses.

A node that is cut off from its registries is fed by export and import: on one that is not,
fetch and export, carry the file, and import it.

list, show and export read the evidence directory, whether the daemon runs or not. fetch and
import ask the daemon where it runs, and else do it themselves.`,
		Args: onlyCommands,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.PersistentFlags().StringVar(&e.path, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	command.AddCommand(e.newList(), e.newShow(), e.newFetch(), e.newExport(), e.newImport())
	return command
}

// config is the node's configuration.
func (e *evidenceCommand) config() (*conf.Config, error) { return conf.Read(e.path) }

// onNode returns the manifests of an image that is on this node under a reference.
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

// failures ends a command that has said what is wrong with each thing, if there was anything.
func failures(count int) error {
	if count > 0 {
		return &exitError{exitFailed}
	}
	return nil
}

// exitFailed is the exit status of a command that did not do all that it was asked to do.
const exitFailed = 1

// formatTime is how times are shown; a zero time is none.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// checkOutput returns an error unless it is one of the formats of output.
func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("--output %q is neither text nor json", output)
	}
	return nil
}
