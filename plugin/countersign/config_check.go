package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
)

func newConfigCheckCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "Report whether a configuration is valid, and everything that is wrong with it",
		Long: `check reads a configuration as the daemon does, and reports each problem with line and column.
Without FILE, it reads ` + conf.DefaultPath + `.

Exit status: 0 the configuration is valid; 1 it is not; 2 it cannot be read.`,
		Example: `  countersign config check
  countersign config check ./config.toml`,
		Args: atMostOneFile("config check"),
		RunE: func(_ *cobra.Command, args []string) error {
			config, err := readConfig(args)
			problems, isInvalid := errors.AsType[conf.Problems](err)
			if err != nil && !isInvalid {
				return err
			}
			for _, problem := range problems {
				if _, err := fmt.Fprintf(stdout, "error: %v\n", problem); err != nil {
					return fmt.Errorf("writing the result: %w", err)
				}
			}
			if isInvalid {
				return &exitError{exitDenied}
			}
			if _, err := fmt.Fprintln(stdout, "ok: "+sourceOf(config)); err != nil {
				return fmt.Errorf("writing the result: %w", err)
			}
			return nil
		},
	}
}
