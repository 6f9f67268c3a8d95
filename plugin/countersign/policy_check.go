package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
)

// policyCheckFlags are the flags of policy check.
type policyCheckFlags struct {
	root, output string
	strict       bool
}

func newPolicyCheckCommand(stdout io.Writer) *cobra.Command {
	flags := policyCheckFlags{}
	command := &cobra.Command{
		Use:   "check [flags] FILE...",
		Short: "Report whether policy documents load, and what in them is probably a mistake",
		Long: `check loads policy documents as the daemon does, and reports those that do not load. FILE is a
document, or a directory of documents such as [policy] directory.

For documents that load, check warns about scopes that match no image, requirements that no image
can meet, such as those whose key file is missing or contains no key, requirements without effect,
and extensions of countersign, because of which other tools do not load the document. In a
directory, it warns about files that are not read because of their names.

With --root, key files are looked up below a directory: --root ./node reads
/etc/countersign/keys/prod.pub from ./node/etc/countersign/keys/prod.pub.

Exit status: 0 all documents load; 1 some do not, or with --strict, there are warnings; 2 unknown.`,
		Example: `  countersign policy check /etc/countersign/policies /etc/containers/policy.json
  countersign policy check --strict --root ./node ./node/etc/countersign/policies
  countersign policy check -o json prod.json | jq -r '.[].warnings[].text'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("policy check takes at least one file: countersign policy check [flags] FILE")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return policyCheck(flags, args, stdout) },
	}
	set := command.Flags()
	set.StringVar(&flags.root, "root", "", "`directory` below which key files are looked up")
	set.BoolVar(&flags.strict, "strict", false, "exit with 1 if there are warnings")
	set.StringVarP(&flags.output, "output", "o", "text", "text or json")
	return command
}

// checkedPolicy is the result for one document. Its JSON is a public interface, to which fields are only added.
type checkedPolicy struct {
	File     string          `json:"file"`
	Valid    bool            `json:"valid"`
	Error    string          `json:"error,omitempty"`
	Warnings []policyWarning `json:"warnings"`
}

// policyWarning is a warning about a scope, about the default, or about the whole file.
type policyWarning struct {
	Scope     *string `json:"scope,omitempty"`
	IsDefault bool    `json:"default,omitempty"`
	Text      string  `json:"text"`
}

// String returns the warning with the place that it is about.
func (w policyWarning) String() string {
	switch {
	case w.IsDefault:
		return "the default: " + w.Text
	case w.Scope != nil:
		return fmt.Sprintf("scope %q: %s", *w.Scope, w.Text)
	default:
		return w.Text
	}
}

func policyCheck(flags policyCheckFlags, paths []string, stdout io.Writer) error {
	if err := checkOutput(flags.output); err != nil {
		return err
	}
	if err := checkRoot(flags.root); err != nil {
		return err
	}
	loader := newPolicyLoader(flags.root)
	var results []checkedPolicy
	for _, path := range paths {
		result, err := checkPolicies(loader, path)
		if err != nil {
			return err
		}
		results = append(results, result...)
	}
	output := policyOutput{stdout, flags.output}
	if err := output.write(results, func() string { return textOfChecked(results) }); err != nil {
		return err
	}
	if slices.ContainsFunc(results, flags.isFailure) {
		return &exitError{exitDenied}
	}
	return nil
}

// isFailure reports whether a result makes the command fail.
func (f *policyCheckFlags) isFailure(r checkedPolicy) bool {
	return !r.Valid || f.strict && len(r.Warnings) > 0
}

// checkRoot returns an error unless the value of --root is empty or a directory.
func checkRoot(root string) error {
	if root == "" {
		return nil
	}
	info, err := os.Stat(root)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", root)
	}
	if err != nil {
		return fmt.Errorf("--root: %w", err)
	}
	return nil
}

// checkPolicies checks a document, or all in a directory.
func checkPolicies(loader policyLoader, path string) ([]checkedPolicy, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading policy: %w", err)
	}
	if !info.IsDir() {
		return []checkedPolicy{checkPolicy(loader.kinds, loader.file(path))}, nil
	}
	documents, err := loader.directory(path)
	if err != nil {
		return nil, err
	}
	ignored, err := files.Ignored(path)
	if err != nil {
		return nil, err
	}
	results := make([]checkedPolicy, 0, len(documents)+len(ignored))
	for _, namespace := range slices.Sorted(maps.Keys(documents)) {
		results = append(results, checkPolicy(loader.kinds, documents[namespace]))
	}
	for _, entry := range ignored {
		warning := policyWarning{Text: entry.Cause + "; expected: " + entry.Expected}
		results = append(results, checkedPolicy{File: entry.Path, Valid: true, Warnings: []policyWarning{warning}})
	}
	return results, nil
}

func checkPolicy(kinds policy.Kinds, source policy.Source) checkedPolicy {
	result := checkedPolicy{File: source.Name, Warnings: []policyWarning{}}
	if source.Document == nil {
		result.Error = "no document was loaded"
		if source.Err != nil {
			result.Error = source.Err.Error()
		}
		return result
	}
	result.Valid = true
	for _, warning := range kinds.Warnings(source.Document) {
		shown := policyWarning{IsDefault: warning.IsDefault, Text: warning.Text}
		if !warning.IsDefault {
			shown.Scope = &warning.Scope
		}
		result.Warnings = append(result.Warnings, shown)
	}
	return result
}

func textOfChecked(results []checkedPolicy) string {
	var b strings.Builder
	for _, result := range results {
		for _, warning := range result.Warnings {
			fmt.Fprintf(&b, "warning: %s: %s\n", result.File, warning)
		}
		switch {
		case !result.Valid:
			fmt.Fprintf(&b, "error: %s\n", result.Error)
		case len(result.Warnings) == 0:
			fmt.Fprintf(&b, "ok: %s\n", result.File)
		}
	}
	return b.String()
}
