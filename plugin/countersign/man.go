package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newManCommand returns a command for packages and builds, which help does not list.
func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write a man page for each command into a directory",
		Example: "  countersign man /usr/share/man/man8",
		Hidden:  true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("man takes one directory, not %d: countersign man DIRECTORY", len(args))
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			if args[0] == "" {
				return errors.New("the name of the directory is empty")
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("writing man pages: %w", err)
			}
			root := command.Root()
			root.DisableAutoGenTag = true
			// The date is that of the sources, so that the same sources give the same pages.
			date := time.Unix(0, 0).UTC()
			header := &doc.GenManHeader{Section: "8", Source: "countersign", Manual: "countersign", Date: &date}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fmt.Errorf("writing man pages: %w", err)
			}
			return nil
		},
	}
}
