package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/nri"
)

func newCommand(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "countersign",
		Short: "Refuse containers whose image does not satisfy the signature policy of the pod's namespace",
		Long: `countersign refuses to create a container whose image does not satisfy the signature
policy of the pod's namespace, whoever cached the image on the node before.

Policies are containers-policy.json(5) files: <directory>/<NAMESPACE>.json for a namespace
that has one, the system's for all others.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.AddCommand(newRunCommand(stderr), newCheckCommand(stdout), newEvidenceCommand(stdout, stderr),
		newVersionCommand(stdout))
	return root
}

// arguments returns the command line less the program. containerd starts what it finds in /opt/nri/plugins without
// any argument, and means the daemon.
func arguments(args []string) []string {
	if len(args) == 1 && nri.StartedByContainerd() {
		return []string{"run"}
	}
	return args[1:]
}
