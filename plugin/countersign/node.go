package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/plugin/node"
)

// nodeRetry is how long to wait after a failure on a node.
const nodeRetry = 10 * time.Second

// nodeFlags are the flags of node install and node uninstall.
type nodeFlags struct {
	name, health, mode, systemPolicy string
	skip                             []string
	allowSelfLockout                 bool
}

func newNodeCommand(stderr io.Writer) *cobra.Command {
	command := &cobra.Command{
		Use:   "node",
		Short: "Install countersign on a node of Kubernetes from a pod",
		Long: `node is what the DaemonSet of the Helm chart runs. Its pod has hostPID: true and is privileged. On the
node itself, use countersign install.`,
		Args: onlyCommands,
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	flags := &nodeFlags{}
	add := func(made *cobra.Command, job func(systemd bool) node.Job) *cobra.Command {
		made.Args = noArguments
		made.RunE = func(command *cobra.Command, _ []string) error {
			if err := flags.validate(); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return workOnNode(ctx, *flags, job, stderr)
		}
		made.Flags().StringVar(&flags.name, "node-name", os.Getenv("NODE_NAME"),
			"`name` of the node (default: the environment variable NODE_NAME)")
		made.Flags().StringVar(&flags.health, "health-probe-bind-address", "127.0.0.1:9471",
			"`address` of /readyz, which answers 200 once the node is ready; empty: none")
		command.AddCommand(made)
		return made
	}
	installation := add(&cobra.Command{
		Use:   "install",
		Short: "Install countersign on the node, wait until doctor finds no fault, and remove the start-up taint",
		Long: `install copies the programs to the node and runs countersign install and countersign doctor there, again
and again until both succeed. Then it removes the taint ` + node.Taint + ` from the node,
and waits to be stopped. Nothing on the node changes when it is stopped. Without systemd on the node, it
installs with --nri-plugin, and somebody has to restart containerd.

Exit status: 0 stopped; 2 error.`,
		Example: `  countersign node install --mode audit --node-name worker-1`,
	}, func(systemd bool) node.Job { return installJob(*flags, systemd) })
	set := installation.Flags()
	set.StringVar(&flags.mode, "mode", "", "audit or enforce (default: the installed mode, or audit)")
	set.StringVar(&flags.systemPolicy, "system-policy", "",
		"`file` with the system policy for nodes where nobody has written one")
	set.StringSliceVar(&flags.skip, "doctor-skip", nil, "`checks` of doctor to leave out")
	set.BoolVar(&flags.allowSelfLockout, "allow-self-lockout", false,
		"enforce even if that would refuse what the node needs, or if that cannot be checked")
	add(&cobra.Command{
		Use:   "uninstall",
		Short: "Remove countersign from the node, and its start-up taint",
		Long: `uninstall copies the programs to the node and runs countersign uninstall --keep-data there until it
succeeds. Then it removes the taint ` + node.Taint + `, and waits to be stopped.

Exit status: 0 stopped; 2 error.`,
		Example: `  countersign node uninstall --node-name worker-1`,
	}, func(bool) node.Job { return uninstallJob() })
	return command
}

func (f nodeFlags) validate() error {
	if f.name == "" {
		return errors.New("--node-name is empty, and so is the environment variable NODE_NAME")
	}
	return installFlags{root: "/", mode: f.mode}.validate()
}

// uninstallJob returns what is done to uninstall. The agent's documents stay in /etc/countersign, and its list of
// them stays too: without it, an agent that is installed again would take them for somebody else's.
func uninstallJob() node.Job {
	return node.Job{Commands: []node.Command{{Arguments: []string{"uninstall", "--keep-data"}}}}
}

// installJob returns what is done to install. Without systemd, containerd starts countersign.
func installJob(flags nodeFlags, systemd bool) node.Job {
	arguments := []string{"install"}
	if !systemd {
		arguments = append(arguments, "--nri-plugin")
	}
	if flags.mode != "" {
		arguments = append(arguments, "--mode", flags.mode)
	}
	if flags.allowSelfLockout {
		arguments = append(arguments, "--allow-self-lockout")
	}
	if flags.systemPolicy != "" {
		arguments = append(arguments, "--system-policy", node.Stage+"/"+node.PolicyName)
	}
	examination := []string{"doctor", "--timeout", "1m"}
	if len(flags.skip) > 0 {
		examination = append(examination, "--skip", strings.Join(flags.skip, ","))
	}
	return node.Job{Commands: []node.Command{
		{Arguments: arguments, Failure: "not enforced: the policy would refuse what the node needs, see the log"},
		{Arguments: examination, Failure: "doctor finds a fault: do what the log above says, or leave the " +
			"check out with --doctor-skip (the chart's value installer.doctorSkip)"},
	}}
}

func workOnNode(ctx context.Context, flags nodeFlags, jobOf func(bool) node.Job, stderr io.Writer) error {
	host, err := node.OpenHost("/proc")
	if err != nil {
		return err
	}
	systemd, err := host.Systemd()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	files, err := node.Programs(filepath.Dir(self), flags.systemPolicy)
	if err != nil {
		return err
	}
	server, err := node.OpenAPIServer(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"),
		"/var/run/secrets/kubernetes.io/serviceaccount")
	if err != nil {
		return err
	}
	worker := &node.Worker{
		Run: func(ctx context.Context, arguments ...string) error {
			command := exec.CommandContext(ctx, node.Stage+"/countersign", arguments...)
			// It restores the state before when it is interrupted.
			command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
			command.Stdout, command.Stderr = stderr, stderr
			return host.Run(command)
		},
		RemoveTaint: server.RemoveTaint,
		Log:         slog.New(slog.NewJSONHandler(stderr, nil)),
	}
	job := jobOf(systemd)
	job.Node, job.Retry = flags.name, nodeRetry
	return serveWhile(ctx, flags.health, worker, func() error {
		if err := host.Copy(node.Stage, files); err != nil {
			return err
		}
		err := worker.Do(ctx, job)
		if errors.Is(err, context.Canceled) {
			err = nil // The pod ends before the job is done; its successor continues.
		}
		return errors.Join(err, host.Remove(node.Stage))
	})
}

// serveWhile answers /readyz until the context ends, and does a job meanwhile.
func serveWhile(ctx context.Context, address string, ready http.Handler, job func() error) error {
	if address == "" {
		err := job()
		<-ctx.Done()
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/readyz", ready)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- socket.Serve(ctx, listener, mux) }()
	if err := job(); err != nil {
		cancel()
		return errors.Join(err, <-served)
	}
	return <-served
}
