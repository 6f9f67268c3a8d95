package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
)

func newPolicyCommand(stdout io.Writer) *cobra.Command {
	command := &cobra.Command{
		Use:   "policy",
		Short: "Check, show, compare, test, write and convert policies",
		Long: `policy works with policy documents, as the daemon reads them. It needs neither the daemon nor a
node, so that it can run where policies are written and reviewed.`,
		Args: onlyCommands,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newPolicyCheckCommand(stdout), newPolicyShowCommand(stdout),
		newPolicyDiffCommand(stdout), newPolicyTestCommand(stdout), newShowSignersCommand(stdout),
		newPolicyConvertCommand(stdout))
	return command
}

// policyLoader loads policy documents as the daemon does. Create one with newPolicyLoader.
type policyLoader struct {
	kinds policy.Kinds
	parse policy.ParseFunc
}

// newPolicyLoader returns a loader that looks up key files below root; empty: they are where the documents say.
func newPolicyLoader(root string) policyLoader {
	kinds := daemon.RequirementKinds(nil)
	return policyLoader{kinds, below(root, daemon.PolicyParser(kinds))}
}

// below returns a parser that looks up key files below root; empty: where the documents say.
func below(root string, parse policy.ParseFunc) policy.ParseFunc {
	if root == "" {
		return parse
	}
	return func(raw []byte, read func(path string) ([]byte, error)) (*policy.Document, error) {
		return parse(raw, func(path string) ([]byte, error) { return read(filepath.Join(root, path)) })
	}
}

// file loads one document.
func (l policyLoader) file(path string) policy.Source {
	return files.Open(files.Config{System: path, Parse: l.parse}).Current().System
}

// directory loads the documents in a directory, by namespace.
func (l policyLoader) directory(path string) (map[string]policy.Source, error) {
	set := files.Open(files.Config{Directory: path, Parse: l.parse}).Current()
	return set.Namespaces, set.Directory
}

// policyOutput is where a result goes, and in which format.
type policyOutput struct {
	to     io.Writer
	format string
}

// write writes a result as JSON or as text.
func (o policyOutput) write(value any, text func() string) error {
	if o.format == "json" {
		return writeJSON(o.to, value)
	}
	if _, err := io.WriteString(o.to, text()); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}
