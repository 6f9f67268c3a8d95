package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/policy"
)

// inventoryFlags are the flags of inventory.
type inventoryFlags struct {
	policies policyFlags
	output   string
	// progress is called with the number of images that are evaluated, and of all.
	progress func(done, total int)
}

func newInventoryCommand(stdout io.Writer) *cobra.Command {
	flags := inventoryFlags{}
	command := &cobra.Command{
		Use:   "inventory [flags]",
		Short: "List the images on this node, the namespaces that may run them, and what a policy change would refuse",
		Long: `inventory evaluates each image on this node, under each reference under which it was obtained, in
each namespace that runs containers here or has a policy document. It uses the policy files on disk
and the signatures that are stored on this node.

With --policy-dir, --cluster-policy or --system-policy, inventory shows exactly which running and cached images these
policies would refuse or admit, compared with the configured ones, and changes nothing. The verdict
on an image whose signatures no document required so far is unknown: fetch them before with
countersign evidence fetch REFERENCE.

Exit status: 0 every running container is admitted; 1 some are denied; 2 some are unknown. With a
policy change, only the containers count that the configured policies admit.`,
		Example: `  countersign inventory
  countersign inventory --policy-dir ./policies --system-policy ./policy.json
  countersign inventory -o json | jq -r '.images[] | select(.running > 0) | .reference'`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			stderr := command.ErrOrStderr()
			flags.progress = func(done, total int) {
				if done%progressEvery == 0 || done == total && total > progressEvery {
					fmt.Fprintf(stderr, "countersign: %d of %d images\n", done, total)
				}
			}
			return inventory(command.Context(), flags, stdout)
		},
	}
	set := command.Flags()
	of := &flags.policies
	set.StringVar(&of.config, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	set.StringVar(&of.systemPolicy, "system-policy", "", "system policy `file` to compare with the configured one")
	set.StringVar(&of.clusterPolicy, "cluster-policy", "", "cluster policy `file` to compare with the configured one")
	set.StringVar(&of.policyDir, "policy-dir", "", "`directory` of NAMESPACE.json to compare with the configured one")
	set.StringVarP(&flags.output, "output", "o", "text", "text or json")
	return command
}

// progressEvery is how many images are evaluated between two lines of progress.
const progressEvery = 100

func inventory(ctx context.Context, flags inventoryFlags, stdout io.Writer) error {
	if err := checkOutput(flags.output); err != nil {
		return err
	}
	config, err := conf.Read(flags.policies.config)
	if err != nil {
		return err
	}
	changed := *config
	flags.policies.apply(&changed)
	if err := policiesExist(flags.policies); err != nil {
		return err
	}
	view, err := openNode(ctx, config)
	if err != nil {
		return err
	}
	defer view.close()
	before, err := view.judge(config)
	if err != nil {
		return err
	}
	take := taking{view: view, before: before, progress: flags.progress}
	if flags.policies.given() {
		if take.after, err = view.judge(&changed); err != nil {
			return err
		}
	}
	taken := take.all(ctx)
	if flags.output == "json" {
		err = writeJSON(stdout, taken)
	} else {
		_, err = io.WriteString(stdout, taken.text())
	}
	if err != nil {
		return fmt.Errorf("writing the inventory: %w", err)
	}
	if code := taken.status(); code != exitAdmitted {
		return &exitError{code}
	}
	return nil
}

// status returns the exit status.
func (i *takenInventory) status() int {
	code := exitAdmitted
	for _, container := range i.Running {
		reason := container.Reason
		if container.After != nil {
			if exitStatus(policy.Reason(container.Reason)) != exitAdmitted {
				continue
			}
			reason = container.After.Reason
		}
		switch exitStatus(policy.Reason(reason)) {
		case exitDenied:
			return exitDenied
		case exitUnknown:
			code = exitUnknown
		}
	}
	return code
}
