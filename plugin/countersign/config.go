package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
)

func newConfigCommand(stdout io.Writer) *cobra.Command {
	command := &cobra.Command{
		Use:   "config",
		Short: "Check and show the configuration",
		Args:  onlyCommands,
		RunE:  func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(newConfigCheckCommand(stdout), newConfigShowCommand(stdout))
	return command
}

// atMostOneFile returns a check for commands that take a configuration file or, without one, the default one.
func atMostOneFile(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 1 {
			return fmt.Errorf("%s takes at most one file, not %d: countersign %s [FILE]", name, len(args), name)
		}
		return nil
	}
}

// readConfig reads the configuration in the file that the arguments name, if they do, and otherwise the node's.
func readConfig(args []string) (*conf.Config, error) {
	path := ""
	if len(args) > 0 {
		if path = args[0]; path == "" {
			return nil, errors.New("the name of the file is empty")
		}
	}
	return conf.Read(path)
}

// sourceOf says what a configuration was read from.
func sourceOf(config *conf.Config) string {
	if config.File == "" {
		return "the defaults, because there is no " + conf.DefaultPath
	}
	return config.File
}
