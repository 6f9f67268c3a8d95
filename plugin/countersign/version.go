package main

import (
	"fmt"
	"io"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersionCommand(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the commit and the Go version",
		Example: "  countersign version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(stdout, thisVersion())
			return err
		},
	}
}

func thisVersion() string {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		build = &debug.BuildInfo{}
	}
	return versionLine(build)
}

// versionLine formats what the Go toolchain recorded in the binary.
func versionLine(build *debug.BuildInfo) string {
	version, commit := build.Main.Version, "unknown commit"
	if version == "" {
		version = "(devel)"
	}
	for _, setting := range build.Settings {
		switch {
		case setting.Key == "vcs.revision":
			commit = "commit " + setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			commit += ", modified"
		}
	}
	return fmt.Sprintf("countersign %s (%s, %s)", version, commit, build.GoVersion)
}
