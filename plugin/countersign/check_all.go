package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// nothingBesideAll returns an error if --all is combined with what names one image.
func nothingBesideAll(command *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("check --all takes no reference, but got %q", args[0])
	}
	for _, name := range []string{"namespace", "image", "timeout"} {
		if command.Flags().Changed(name) {
			return fmt.Errorf("--%s cannot be combined with --all", name)
		}
	}
	return nil
}

// checkedContainers is what check --all prints for the containers with one image in one namespace.
type checkedContainers struct {
	checkResult
	// Containers are the names of the containers, as POD/CONTAINER.
	Containers []string `json:"containers"`
}

// checkAll checks the image of every running container, each once for each namespace.
func checkAll(ctx context.Context, flags checkFlags, stdout io.Writer) error {
	if err := checkOutput(flags.output); err != nil {
		return err
	}
	config, err := flags.read()
	if err != nil {
		return err
	}
	view, err := openNode(ctx, config)
	if err != nil {
		return err
	}
	defer view.close()
	decider, err := view.judge(config)
	if err != nil {
		return err
	}
	results, at := []*checkedContainers{}, map[policy.Question]int{}
	for _, container := range view.running {
		question := container.question()
		i, known := at[question]
		if !known || container.err != nil {
			i = len(results)
			at[question] = i
			result := &checkedContainers{Containers: []string{}}
			result.Mode, result.image = config.Mode(container.Namespace).String(), flags.image
			result.Namespace, result.Reference, result.FoundBy = container.Namespace, container.Reference, view.foundBy
			verdict := decider.decide(ctx, container)
			result.set(daemon.VerdictOf(verdict), decider.Advice(verdict))
			if result.Allowed {
				result.Signers = daemon.Signers(ctx, decider.Decider, decider.kinds, question)
			}
			if flags.usesDaemon() && container.config != "" {
				result.setDaemon(askDaemon(ctx, config, question))
			}
			results = append(results, result)
		}
		results[i].Containers = append(results[i].Containers, container.Pod+"/"+container.Name)
	}
	return writeChecked(stdout, flags.output, results)
}

func writeChecked(stdout io.Writer, output string, results []*checkedContainers) error {
	var err error
	if output == "json" {
		err = writeJSON(stdout, results)
	}
	code, counts := exitAdmitted, map[int]int{}
	for _, result := range results {
		status := exitStatus(policy.Reason(result.Reason))
		counts[status] += len(result.Containers)
		if output != "json" {
			_, failed := fmt.Fprintf(stdout, "%scontainers: %s\n", result.text(), text.List(result.Containers, mostNamespaces))
			err = errors.Join(err, failed)
		}
	}
	if output != "json" {
		_, failed := fmt.Fprintf(stdout, "%d running containers are admitted, %d denied, %d unknown\n",
			counts[exitAdmitted], counts[exitDenied], counts[exitUnknown])
		err = errors.Join(err, failed)
	}
	if err != nil {
		return fmt.Errorf("writing the verdicts: %w", err)
	}
	switch {
	case counts[exitDenied] > 0:
		code = exitDenied
	case counts[exitUnknown] > 0:
		code = exitUnknown
	}
	if code != exitAdmitted {
		return &exitError{code}
	}
	return nil
}
