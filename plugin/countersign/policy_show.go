package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
)

func newPolicyShowCommand(stdout io.Writer) *cobra.Command {
	flags, output := policyFlags{}, ""
	command := &cobra.Command{
		Use:   "show [flags] REFERENCE",
		Short: "Show which requirements apply to an image in a namespace",
		Long: `show prints the document, the scope and the requirements that apply to an image with the name
REFERENCE in a namespace, by the policy files on disk. It reads neither the image nor its signatures:
countersign check evaluates them.

Exit status: 0 requirements apply; 2 unknown, such as for a document that does not load.`,
		Example: `  countersign policy show -n prod registry.example/prod/app:v1
  countersign policy show -n prod --policy-dir ./policies --system-policy ./policy.json registry.example/prod/app:v1
  countersign policy show -n prod -o json registry.example/prod/app:v1 | jq -r .scope`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("policy show takes one image reference, not %d: countersign policy show [flags] REFERENCE",
					len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			return policyShow(flags, args[0], policyOutput{stdout, output})
		},
	}
	flags.add(command)
	command.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return command
}

// shownPolicy is what policy show prints. Its JSON is a public interface, to which fields are only added.
type shownPolicy struct {
	Namespace    string                `json:"namespace"`
	Mode         string                `json:"mode"`
	Reference    string                `json:"reference"`
	Document     string                `json:"document"`
	Scope        string                `json:"scope"`
	IsDefault    bool                  `json:"default"`
	Requirements []shownRequirement    `json:"requirements"`
	Enforced     *daemon.EnforcedScope `json:"enforced,omitempty"`
	PassedOver   []string              `json:"passed_over"`
	Missed       string                `json:"missed,omitempty"`
}

// shownRequirement is a requirement in words.
type shownRequirement struct {
	Type     policy.Kind `json:"type"`
	Requires string      `json:"requires"`
	KeyFiles []string    `json:"key_files,omitempty"`
	Audited  bool        `json:"audited,omitempty"`
	Problem  string      `json:"problem,omitempty"`
}

func showRequirement(kinds policy.Kinds, requirement *policy.Requirement) shownRequirement {
	return shownRequirement{
		requirement.Kind, kinds.Describe(requirement), requirement.KeyFiles, requirement.Audit, requirement.Problem,
	}
}

// String returns the requirement in one line.
func (r shownRequirement) String() string {
	line := fmt.Sprintf("%s: %s", r.Type, r.Requires)
	if len(r.KeyFiles) > 0 && r.Problem == "" {
		line += fmt.Sprintf(" (keys in %s)", strings.Join(r.KeyFiles, ", "))
	}
	return line
}

func policyShow(flags policyFlags, ref string, output policyOutput) error {
	if err := checkOutput(output.format); err != nil {
		return err
	}
	if !policy.ValidNamespace(flags.namespace) {
		return fmt.Errorf("--namespace %q is not a DNS label", flags.namespace)
	}
	named, err := policy.Normalize(ref)
	if err != nil {
		return err
	}
	config, err := flags.read()
	if err != nil {
		return err
	}
	kinds := daemon.RequirementKinds(nil)
	document, err := files.Open(daemon.Documents(config, kinds)).Current().For(flags.namespace)
	if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
		return errors.New(refusal.Detail)
	}
	if err != nil {
		return err
	}
	selected := document.Explain(named)
	shown := shownPolicy{
		Namespace: flags.namespace, Mode: config.Mode(flags.namespace).String(), Reference: named.String(),
		Document: document.Name, Scope: selected.Scope, IsDefault: selected.IsDefault, Missed: selected.Missed,
		Enforced:     (*daemon.EnforcedScope)(selected.Enforced),
		Requirements: []shownRequirement{}, PassedOver: append([]string{}, selected.PassedOver...),
	}
	for _, requirement := range selected.List {
		shown.Requirements = append(shown.Requirements, showRequirement(kinds, requirement))
	}
	return output.write(shown, shown.text)
}

func (s *shownPolicy) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in namespace %s (mode %s)\n", s.Reference, s.Namespace, s.Mode)
	fmt.Fprintf(&b, "document: %s\nscope: %s\n", s.Document, scopeName(s.Scope, s.IsDefault))
	if s.Enforced != nil {
		fmt.Fprintln(&b, enforcedFrom(s.Enforced))
	}
	for i, requirement := range s.Requirements {
		fmt.Fprintf(&b, "requirement %d: %s\n", i+1, requirement)
	}
	if others := s.notUsed(); len(others) > 0 {
		fmt.Fprintf(&b, "less specific, not used: %s\n", strings.Join(others, ", "))
	}
	if s.Missed != "" {
		fmt.Fprintf(&b, "warning: %s\n", s.Missed)
	}
	return b.String()
}

// notUsed returns the less specific scopes that match but do not apply, and the document's default if it does not.
func (s *shownPolicy) notUsed() []string {
	others := make([]string, 0, len(s.PassedOver)+1)
	for _, scope := range s.PassedOver {
		others = append(others, scopeName(scope, false))
	}
	if s.IsDefault || s.Enforced != nil && s.Enforced.IsDefault {
		return others
	}
	return append(others, scopeName("", true))
}

// enforcedFrom says what is enforced for a scope that enforces nothing.
func enforcedFrom(scope *daemon.EnforcedScope) string {
	return "it enforces nothing, so what is enforced is from: " + scopeName(scope.Scope, scope.IsDefault)
}

// scopeName returns a scope as it is shown to people.
func scopeName(scope string, isDefault bool) string {
	switch {
	case isDefault:
		return "the document's default"
	case scope == "":
		return `""`
	default:
		return scope
	}
}
