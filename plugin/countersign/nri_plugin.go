package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/supervisor"
)

// newNRIPluginCommand is what containerd starts in /opt/nri/plugins.
func newNRIPluginCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "nri-plugin",
		Short:  "Start the supervisor of the daemon; containerd runs this",
		Hidden: true,
		Args:   noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if !nri.StartedByContainerd() {
				return errors.New("only containerd runs nri-plugin: countersign install --nri-plugin installs it")
			}
			reason := "this is as it should be: countersign registers at NRI's socket, and its own supervisor starts it"
			node, failed := supervisor.StandardNode()
			if failed == nil {
				_, failed = node.Ensure()
			}
			if failed != nil {
				reason = "countersign cannot start its supervisor: " + failed.Error()
			}
			return errors.Join(failed, nri.Decline(command.Context(), reason))
		},
	}
}

// newSuperviseCommand is what nri-plugin starts.
func newSuperviseCommand(stderr io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:    "supervise",
		Short:  "Run the daemon, and run it again when it ends; nri-plugin runs this",
		Hidden: true,
		Args:   noArguments,
		RunE: func(*cobra.Command, []string) error {
			signals := make(chan os.Signal, 8)
			signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGTERM, syscall.SIGINT)
			defer signal.Stop(signals)
			node, err := supervisor.StandardNode()
			if err != nil {
				return err
			}
			running, err := node.NewSupervisor(slog.New(slog.NewJSONHandler(stderr, nil)))
			if err != nil {
				return fmt.Errorf("only nri-plugin runs supervise: %w", err)
			}
			return running.Run(signals)
		},
	}
}
