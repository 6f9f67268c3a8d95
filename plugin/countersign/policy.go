package main

import (
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
		Short: "Check and show policy documents",
		Long: `policy works with policy documents, as the daemon reads them. It needs neither the daemon nor a
node, so that it can run where policies are written and reviewed.`,
		Args: onlyCommands,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newPolicyCheckCommand(stdout), newPolicyShowCommand(stdout))
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
	parse := daemon.PolicyParser(kinds)
	if root == "" {
		return policyLoader{kinds, parse}
	}
	return policyLoader{kinds, func(raw []byte, read func(path string) ([]byte, error)) (*policy.Document, error) {
		return parse(raw, func(path string) ([]byte, error) { return read(filepath.Join(root, path)) })
	}}
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
