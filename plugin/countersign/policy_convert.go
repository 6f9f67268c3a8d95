package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/plugin/convert"
	"github.com/countersign/countersign/policy/text"
)

func newPolicyConvertCommand(stdout io.Writer) *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "convert -f FILE",
		Short: "Turn policies of OpenShift, policy-controller and Kyverno into ImagePolicies",
		Long: `convert prints ImagePolicies and ClusterImagePolicies that say what the objects in FILE say: ImagePolicy and
ClusterImagePolicy of config.openshift.io, ClusterImagePolicy of policy.sigstore.dev, and ClusterPolicy
and Policy of kyverno.io with verifyImages. FILE is YAML or JSON, also with several objects, or - for
standard input.

An object is converted as a whole or not at all. What cannot be said is refused by name, on standard
error, one line each. Scopes that match more images than the original pattern are reported too.

Exit status: 0 every object is converted; 1 some are not; 2 unknown.`,
		Example: `  kubectl get clusterimagepolicies.config.openshift.io -o yaml | countersign policy convert -f -
  countersign policy convert -f kyverno.yaml >policies.yaml`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if file == "" {
				return errors.New("policy convert needs a file: countersign policy convert -f FILE")
			}
			return policyConvert(file, command.InOrStdin(), stdout, command.ErrOrStderr())
		},
	}
	command.Flags().StringVarP(&file, "filename", "f", "", "`file` with the objects; - is standard input")
	return command
}

func policyConvert(path string, from io.Reader, stdout, stderr io.Writer) error {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("reading objects: %w", err)
		}
		defer file.Close()
		from = file
	}
	result, err := convert.Convert(from)
	if err != nil {
		return fmt.Errorf("reading objects in %s: %s", path, text.OneLine(err.Error()))
	}
	for _, note := range result.Notes {
		fmt.Fprintf(stderr, "note: %s\n", text.OneLine(note))
	}
	for _, refused := range result.Refused {
		fmt.Fprintf(stderr, "not converted: %s\n", text.OneLine(refused))
	}
	if err := result.Write(stdout); err != nil {
		return err
	}
	if len(result.Refused) > 0 {
		return &exitError{exitDenied}
	}
	return nil
}
