package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/plugin/install"
	"github.com/countersign/countersign/plugin/install/journal"
	"github.com/countersign/countersign/plugin/supervisor"
)

// installFlags are the flags of install.
type installFlags struct {
	root, mode, containerdConfig, verifier, systemPolicy string
	dryRun, allowSelfLockout, nriPlugin                  bool
	// runner is empty if nriPlugin is not on the command line.
	runner install.Runner
}

func newInstallCommand(stdout io.Writer) *cobra.Command {
	flags := installFlags{}
	command := &cobra.Command{
		Use:   "install",
		Short: "Install countersign on this node, or change its mode",
		Long: `install installs the programs, the configuration, examples of policies, the systemd service,
containerd's drop-in and the image verifier, and starts the service.

It begins in audit mode: containers and pulls that a policy would refuse are reported and admitted,
and containerd requires no plugin. --mode enforce refuses them. Before that, install checks whether
everything that runs in kube-system, countersign's own pods and the sandbox image would be admitted.

--nri-plugin installs no service: containerd starts a supervisor from /opt/nri/plugins, which runs the
daemon and runs it again when it ends. --nri-plugin=false goes back to the service.

Existing configuration and policies are kept. A failure half-way restores the state before, and so
does the next run if this one is killed. countersign uninstall restores the node.

Exit status: 0 installed; 1 enforcing would refuse what the node needs; 2 error.`,
		Example: `  countersign install --dry-run
  countersign install
  countersign install --mode enforce
  countersign install --nri-plugin
  countersign install --root /mnt/image`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if command.Flags().Changed("nri-plugin") {
				flags.runner = map[bool]install.Runner{true: install.NRIPlugin, false: install.Service}[flags.nriPlugin]
			}
			return runInstall(command.Context(), flags, stdout)
		},
	}
	set := command.Flags()
	set.StringVar(&flags.root, "root", "/", "`directory` with the root of the host")
	set.StringVar(&flags.mode, "mode", "", "audit or enforce (default: the installed mode, or audit)")
	set.BoolVar(&flags.nriPlugin, "nri-plugin", false,
		"let containerd start countersign as an NRI plugin, instead of systemd (default: as it is installed)")
	set.StringVar(&flags.containerdConfig, "containerd-config", "",
		"containerd's configuration `file` (default: the one of the running containerd)")
	set.StringVar(&flags.verifier, "verifier", "", "the `program` countersign-verifier (default: next to this program)")
	set.StringVar(&flags.systemPolicy, "system-policy", "",
		"`file` with the system policy for a node where nobody has written one (default: the example)")
	set.BoolVar(&flags.dryRun, "dry-run", false, "show what would change, and change nothing")
	set.BoolVar(&flags.allowSelfLockout, "allow-self-lockout", false,
		"enforce even if that would refuse what the node needs, or if that cannot be checked")
	return command
}

// noArguments rejects arguments in one line with what to do.
func noArguments(command *cobra.Command, arguments []string) error {
	if len(arguments) == 0 {
		return nil
	}
	return fmt.Errorf("%s takes no argument, but got %q; see %s --help", command.Name(), arguments[0],
		command.CommandPath())
}

// validate returns an error about the values of flags.
func (f installFlags) validate() error {
	switch install.Mode(f.mode) {
	case "", install.Audit, install.Enforce:
	default:
		return fmt.Errorf("--mode %q is not audit or enforce", f.mode)
	}
	return validateRoot(f.root)
}

func runInstall(ctx context.Context, flags installFlags, stdout io.Writer) error {
	if err := flags.validate(); err != nil {
		return err
	}
	target, err := openTarget(flags.root, stdout)
	if err != nil {
		return err
	}
	defer target.installer.Close()
	options, err := target.options(ctx, flags)
	if err != nil {
		return err
	}
	if flags.dryRun {
		return target.dryRun(ctx, options)
	}
	if err := target.recover(ctx); err != nil {
		return err
	}
	plan, err := target.plan(ctx, options)
	if err != nil {
		return err
	}
	if plan.BeginsToEnforce() && !flags.allowSelfLockout {
		if err := target.checkLockout(ctx); err != nil {
			return err
		}
	}
	return target.apply(ctx, plan)
}

// plan returns the plan of an installation. What enforcing would refuse is the daemon's decision, so it has to run
// first: if nothing is installed, or countersign is switched off, it is installed in audit mode before.
func (t *target) plan(ctx context.Context, options install.Options) (*install.Plan, error) {
	plan, err := t.installer.Plan(ctx, options)
	if err != nil || !t.live || !plan.BeginsToEnforce() || daemonAnswers(ctx) {
		return plan, err
	}
	audit := options
	audit.Mode, options.Mode = install.Audit, install.Enforce // Otherwise the mode would be the one just installed.
	if plan, err = t.installer.Plan(ctx, audit); err != nil {
		return nil, err
	}
	if err := t.apply(ctx, plan); err != nil {
		return nil, err
	}
	return t.installer.Plan(ctx, options)
}

// apply carries out a plan, and prints what it did and what the operator has to do.
func (t *target) apply(ctx context.Context, plan *install.Plan) error {
	changes := len(plan.Changes())
	if err := t.installer.Apply(ctx, plan); err != nil {
		return err
	}
	if changes == 0 {
		fmt.Fprintf(t.stdout, "nothing to change: countersign is installed in %s mode\n", plan.Mode)
	} else {
		fmt.Fprintf(t.stdout, "countersign is installed in %s mode; %d files and directories have changed\n", plan.Mode,
			changes)
	}
	for _, note := range plan.Notes {
		fmt.Fprintf(t.stdout, "note: %s\n", note)
	}
	if t.system == nil && changes > 0 {
		fmt.Fprintln(t.stdout, "no service was restarted; on the running host: "+t.restarts(plan))
	}
	return nil
}

// restarts returns what an operator has to do so that the installation takes effect.
func (t *target) restarts(plan *install.Plan) string {
	if plan.Runner != install.NRIPlugin {
		return "systemctl daemon-reload && systemctl restart countersign containerd"
	}
	if pid := t.supervisor(); pid != 0 {
		return fmt.Sprintf("kill -USR1 %d, and restart containerd", pid)
	}
	return "restart containerd"
}

func (t *target) dryRun(ctx context.Context, options install.Options) error {
	interrupted, err := t.installer.Interrupted()
	if err != nil {
		return err
	}
	if interrupted {
		return errors.New("an earlier run was interrupted: run countersign install without --dry-run, or countersign " +
			"uninstall, to end it")
	}
	plan, err := t.installer.Plan(ctx, options)
	if err != nil {
		return err
	}
	if err := plan.WriteDiff(t.stdout); err != nil {
		return err
	}
	for _, note := range plan.Notes {
		fmt.Fprintf(t.stdout, "note: %s\n", note)
	}
	fmt.Fprintf(t.stdout, "%d changes, none of them made\n", len(plan.Changes()))
	return nil
}

// recover completes or reverts a run that was interrupted.
func (t *target) recover(ctx context.Context) error {
	what, err := t.installer.Recover(ctx)
	if err == nil && what != "" {
		fmt.Fprintln(t.stdout, what)
	}
	return err
}

// openTarget opens the host whose root is a directory.
func openTarget(root string, stdout io.Writer) (*target, error) {
	t := &target{root: root, live: root == "/", stdout: stdout}
	if t.live && supervisor.SystemdRuns() {
		t.system = t.newSystem()
	}
	var err error
	t.installer, err = install.Open(&journal.Host{Root: root}, t.system)
	return t, err
}
