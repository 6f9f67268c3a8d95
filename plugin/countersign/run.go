package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/supervisor"
)

func newRunCommand(stderr io.Writer) *cobra.Command {
	var path string
	var supervised bool
	command := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: `run registers with containerd's NRI as plugin "countersign" and validates every container that
containerd is about to create, until it receives SIGTERM. It keeps running while containerd is
unavailable and while policies are invalid: it denies what it cannot decide. After SIGHUP it reads
its configuration again. If the configuration is invalid at start, it exits with status 78.`,
		Example: `  countersign run
  countersign run --config /etc/countersign/config.toml`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			// SIGHUP must not end the process, from the first moment on.
			reloads := make(chan os.Signal, 1)
			signal.Notify(reloads, syscall.SIGHUP)
			defer signal.Stop(reloads)
			config, err := conf.Read(path)
			if err != nil {
				return &configError{err}
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			options := daemon.Options{
				Config: config, ConfigPath: path, Reload: reloads, Version: thisVersion(), Log: stderr, Supervised: supervised,
			}
			if supervised {
				stop, err := watchSupervisor(ctx, &options)
				if err != nil {
					return err
				}
				defer stop()
			}
			return daemon.Run(ctx, options)
		},
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &configError{err} })
	command.Flags().StringVar(&path, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	command.Flags().BoolVar(&supervised, "supervised", false, "")
	_ = command.Flags().MarkHidden("supervised") // It fails only if there is no such flag.
	return command
}

// watchSupervisor makes this process the daemon of a supervisor. Without journald, the log is a file.
func watchSupervisor(ctx context.Context, options *daemon.Options) (stop func(), err error) {
	node, err := supervisor.StandardNode()
	if err != nil {
		return nil, err
	}
	if !node.Journaled() {
		options.Log = audit.NewFile(supervisor.LogFile, supervisor.LogSize, supervisor.LogFiles)
	}
	return node.Watch(ctx, slog.New(slog.NewJSONHandler(options.Log, nil)))
}
