package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/plugin/install"
)

func newUninstallCommand(stdout io.Writer) *cobra.Command {
	var root string
	var now bool
	options := install.Removal{}
	command := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove countersign from this node, or switch it off in an emergency",
		Long: `uninstall restores the files that countersign install has changed, byte for byte: first the image
verifier and containerd's drop-in, then it restarts containerd, then it removes the service. Running
containers keep running. Files in /etc/countersign that somebody has written or changed stay there.

--now switches countersign off and removes nothing else: it removes the image verifier and the
drop-in, restarts containerd and stops the service. It needs no working configuration, and goes on
if a step fails. countersign install switches it on again.

Exit status: 0 done; 2 error.`,
		Example: `  countersign uninstall --now
  countersign uninstall
  countersign uninstall --purge`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if now && (options.Purge || options.KeepData) {
				return errors.New("--now removes no data: use it without --purge and --keep-data")
			}
			if err := validateRoot(root); err != nil {
				return err
			}
			if now {
				return switchOff(command.Context(), root, stdout)
			}
			return uninstall(command.Context(), root, options, stdout)
		},
	}
	set := command.Flags()
	set.StringVar(&root, "root", "/", "`directory` with the root of the host")
	set.BoolVar(&now, "now", false, "switch countersign off as fast as possible, and keep all other files")
	set.BoolVar(&options.Purge, "purge", false, "also remove policies, keys and configuration that somebody has written")
	set.BoolVar(&options.KeepData, "keep-data", false, "keep the stored signatures in /var/lib/countersign")
	return command
}

func uninstall(ctx context.Context, root string, options install.Removal, stdout io.Writer) error {
	t, err := openTarget(root, stdout)
	if err != nil {
		return err
	}
	defer t.installer.Close()
	if err := t.recover(ctx); err != nil {
		return err
	}
	left, err := t.installer.Uninstall(ctx, options)
	if errors.Is(err, install.ErrNotInstalled) {
		fmt.Fprintln(stdout, "nothing to do: "+err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "countersign is removed")
	for _, path := range left {
		fmt.Fprintf(stdout, "left: %s\n", path)
	}
	if pid := t.supervisor(); t.system == nil && pid != 0 {
		fmt.Fprintf(stdout, "no service was stopped; on the running host: restart containerd, then kill %d\n", pid)
	} else if t.system == nil {
		fmt.Fprintln(stdout, "no service was stopped; on the running host: systemctl restart containerd && "+
			"systemctl stop countersign && systemctl daemon-reload")
	}
	return nil
}

func switchOff(ctx context.Context, root string, stdout io.Writer) error {
	t, err := openTarget(root, stdout)
	if err != nil {
		return err
	}
	defer t.installer.Close()
	done, err := t.installer.SwitchOff(ctx)
	for _, line := range done {
		fmt.Fprintln(stdout, line)
	}
	if err != nil {
		return fmt.Errorf("countersign is not switched off completely: %w", err)
	}
	fmt.Fprintln(stdout, "countersign is switched off; countersign install switches it on again")
	return nil
}
