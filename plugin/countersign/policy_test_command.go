package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/policy"
)

func newPolicyTestCommand(stdout io.Writer) *cobra.Command {
	var flags checkFlags
	command := &cobra.Command{
		Use:   "test [flags] CASES.yaml",
		Short: "Test which images policies admit",
		Long: `test evaluates images as countersign check does, and compares the verdicts with those expected:

  system_policy: policy.json         # the policies; without any of them, those of the node
  cluster_policy: cluster.json
  policy_dir: policies
  cases:
  - namespace: prod
    reference: registry.example/prod/app:v1
    image: oci:images/app            # registry, oci:PATH[:TAG], dir:PATH or containerd
    expect: admitted                 # admitted, denied, unknown, or the reason: unsigned, rejected, …

Paths are relative to CASES.yaml. With --root, key files are looked up below a directory.

Exit status: 0 every verdict is the expected one; 1 some are not; 2 the cases cannot be read.`,
		Example: `  countersign policy test ./cases.yaml
  countersign policy test --root ./node -o json ./cases.yaml | jq '.[] | select(.passed | not)'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("policy test takes one file, not %d: countersign policy test [flags] CASES.yaml", len(args))
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			if err := errors.Join(checkOutput(flags.output), checkRoot(flags.root)); err != nil {
				return err
			}
			if flags.timeout <= 0 {
				return fmt.Errorf("--timeout %s is not a positive duration", flags.timeout)
			}
			return policyTest(command.Context(), flags, args[0], policyOutput{stdout, flags.output})
		},
	}
	set := command.Flags()
	set.StringVar(&flags.config, "config", "", "configuration `file`, for how registries are reached")
	set.StringVar(&flags.root, "root", "", "`directory` below which key files are looked up")
	set.DurationVar(&flags.timeout, "timeout", fetchTimeout, "how long an image in a registry may take")
	set.StringVarP(&flags.output, "output", "o", "text", "text or json")
	return command
}

// testedPolicy is the result of a case. Its JSON is a public interface, to which fields are only added.
type testedPolicy struct {
	Namespace string        `json:"namespace"`
	Reference string        `json:"reference"`
	Image     string        `json:"image"`
	Expected  string        `json:"expected"`
	Passed    bool          `json:"passed"`
	Reason    policy.Reason `json:"reason"`
	Document  string        `json:"document,omitempty"`
	Scope     string        `json:"scope,omitempty"`
	Detail    string        `json:"detail,omitempty"`
}

func policyTest(ctx context.Context, flags checkFlags, path string, output policyOutput) error {
	cases, err := readPolicyCases(path)
	if err != nil {
		return err
	}
	config, err := flags.read()
	if err != nil {
		return err
	}
	from := filepath.Dir(path)
	// If one is given, all are, because the node's are no part of the test.
	if cases.SystemPolicy != "" || cases.ClusterPolicy != "" || cases.PolicyDir != "" {
		config.Policy.System = relativeTo(from, cases.SystemPolicy)
		config.Policy.Cluster = relativeTo(from, cases.ClusterPolicy)
		if err := clusterPolicyExists("cluster_policy", config.Policy.Cluster); err != nil {
			return err
		}
		config.Policy.Directory = relativeTo(from, cases.PolicyDir)
	}
	failed := 0
	results := make([]testedPolicy, 0, len(cases.Cases))
	for _, one := range cases.Cases {
		flags.namespace, flags.image = one.Namespace, one.imageFrom(from)
		verdict := checkVerdict(ctx, config, flags, one.Reference).verdict
		result := testedPolicy{
			Namespace: one.Namespace, Reference: one.Reference, Image: one.Image, Expected: one.Expect,
			Passed: one.expects(verdict.Reason), Reason: verdict.Reason, Document: verdict.Document,
			Scope: verdict.Scope, Detail: verdict.Detail,
		}
		if !result.Passed {
			failed++
		}
		results = append(results, result)
	}
	if err := output.write(results, func() string { return textOfTested(results, failed) }); err != nil {
		return err
	}
	if failed > 0 {
		return &exitError{exitDenied}
	}
	return nil
}

func textOfTested(results []testedPolicy, failed int) string {
	var b strings.Builder
	for _, result := range results {
		word := "ok"
		if !result.Passed {
			word = "failed"
		}
		fmt.Fprintf(&b, "%s: %s in namespace %s: expected %s, got %s\n",
			word, result.Reference, result.Namespace, result.Expected, result.Reason)
		if !result.Passed && result.Document != "" {
			fmt.Fprintf(&b, "  by: %s, scope %q\n", result.Document, result.Scope)
		}
		if !result.Passed && result.Detail != "" {
			fmt.Fprintf(&b, "  why: %s\n", strings.ReplaceAll(result.Detail, "\n", " "))
		}
	}
	fmt.Fprintf(&b, "%d cases, %d failed\n", len(results), failed)
	return b.String()
}
