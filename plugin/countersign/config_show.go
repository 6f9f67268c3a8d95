package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
)

func newConfigShowCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "show [FILE]",
		Short: "Show a configuration with the defaults filled in",
		Long: `show prints the configuration that a daemon that starts now uses, with every key, as a config.toml.
Without FILE, it reads ` + conf.DefaultPath + `. A configuration with a problem is not shown.

Exit status: 0; 2 if the configuration is invalid or cannot be read.`,
		Example: `  countersign config show
  diff <(countersign config show ./old.toml) <(countersign config show ./new.toml)`,
		Args: atMostOneFile("config show"),
		RunE: func(_ *cobra.Command, args []string) error {
			config, err := readConfig(args)
			if err != nil {
				return err
			}
			text, err := conf.TOML(config)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(stdout, "# %s\n\n%s", sourceOf(config), text); err != nil {
				return fmt.Errorf("writing the configuration: %w", err)
			}
			return nil
		},
	}
}
