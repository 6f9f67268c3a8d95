package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/nri"
)

func newCommand(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "countersign",
		Short: "Refuse containers whose image does not satisfy the signature policy of the pod's namespace",
		Long: `countersign refuses to create a container whose image does not satisfy the signature
policy of the pod's namespace, no matter which namespace pulled the image to the node.

Policies are containers-policy.json(5) files: <directory>/<NAMESPACE>.json if it exists, and
otherwise the system policy.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       thisVersion(),
		Args:          onlyCommands,
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, command.CommandPath())
	})
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(
		newRunCommand(stderr),
		newCheckCommand(stdout),
		newAuditCommand(os.Stdin, stdout),
		newExplainCommand(stdout),
		newInventoryCommand(stdout),
		newEvidenceCommand(stdout, stderr),
		newConfigCommand(stdout),
		newPolicyCommand(stdout),
		newInstallCommand(stdout),
		newUninstallCommand(stdout),
		newNodeCommand(stderr),
		newStatusCommand(stdout),
		newDoctorCommand(stdout),
		newVersionCommand(stdout),
		newManCommand(),
		newNRIPluginCommand(),
		newSuperviseCommand(stderr),
	)
	addCompletions(root)
	return root
}

// onlyCommands rejects arguments: an argument that is not a command is a typing error.
func onlyCommands(command *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	command.SuggestionsMinimumDistance = 2 // Edits of one letter, as cobra uses for its own suggestions.
	hint := "see " + command.CommandPath() + " --help"
	if close := command.SuggestionsFor(arguments[0]); len(close) > 0 {
		hint = fmt.Sprintf("did you mean %s %s?", command.CommandPath(), close[0])
	}
	return fmt.Errorf("unknown command %q; %s", arguments[0], hint)
}

// arguments returns the command line without the program's name. containerd starts the programs in /opt/nri/plugins
// without arguments.
func arguments(args []string) []string {
	if len(args) == 1 && nri.StartedByContainerd() {
		return []string{"nri-plugin"}
	}
	return args[1:]
}
