package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/origin"
)

func newRunCommand(stderr io.Writer) *cobra.Command {
	var path string
	command := &cobra.Command{
		Use:   "run",
		Short: "Answer containerd: the daemon",
		Long: `run registers with containerd's NRI as plugin "countersign" and validates every container
that is about to be created, until it is told to stop (SIGTERM). It stays up while containerd
is away, and while policies are broken: it denies what it cannot decide.`,
		Example: `  countersign run
  countersign run --config /etc/countersign/config.toml`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := conf.Read(path)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return run(ctx, config, newLogger(config, stderr))
		},
	}
	command.Flags().StringVar(&path, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	return command
}

func newLogger(config *conf.Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.Level(config.Log.Level)}
	if config.Log.Format == conf.FormatText {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// run joins the parts of the daemon. In the order of a request:
//
//  1. the question    package nri: namespace, reference as written, config digest
//  2. the image       policy/origin: is the root filesystem that image's? its manifests, its original references
//  3. the policy      policy/files: <directory>/<namespace>.json, else the system's, parsed by policy/signature
//  4. the evidence    policy/evidence: what this node keeps of signatures for those manifests
//  5. the verdict     policy: some reference, all of whose scope's requirements are met, as policy/signature and
//     policy/bundle judge
//  6. the answer      package nri: nil or "SignatureValidationFailed: …"; one record of it, and figures
//
// Before that, when the image is pulled: containerd's image verifier (plugin/verifier) asks over the daemon's socket,
// [pulls] have its evidence fetched and say whether any document could admit it, and [prefetch] looks after images that
// come another way.
func run(ctx context.Context, config *conf.Config, logger *slog.Logger) error {
	build, _ := debug.ReadBuildInfo()
	figures := metrics.New(build)
	accounts := newAccounts(audit.New(logger), figures)
	panicked := survive(logger, figures)

	images, err := origin.Open(config.Containerd.Address, config.Containerd.Namespace, logger, panicked)
	if err != nil {
		return fmt.Errorf("preparing to ask containerd: %w", err)
	}
	defer images.Close()
	fetchAhead, lookAhead := newBell(), newBell()
	documents := files.Open(documentsConfig(config, logger, panicked, func(status files.Status) {
		figures.PolicyLoaded(status.Documents, status.Failures)
		fetchAhead.ring()
		lookAhead.ring()
	}))
	reached := registries(config)
	keeper, err := evidence.Open(evidence.Config{
		Directory:  config.Evidence.Directory,
		MaxSize:    int64(config.Evidence.MaxSize),
		Registries: reached,
		Panicked:   panicked,
		Logger:     logger,
	})
	if err != nil {
		return fmt.Errorf("preparing to keep evidence: %w", err)
	}
	defer keeper.Close()

	decider, err := policy.NewDecider(policy.Sources{
		Documents:   documents.Current,
		Image:       images.Image,
		Confirm:     images.Confirm,
		Kept:        keeper.Kept,
		Ask:         keeper.Ask,
		Judges:      judges(panicked),
		Nameless:    nameless(config),
		Panicked:    panicked,
		Generations: []func() uint64{images.Generation, keeper.Generation},
	})
	if err != nil {
		return fmt.Errorf("joining the parts of a decision: %w", err)
	}
	plugin := &nri.Plugin{
		Socket:   config.Containerd.NRISocket,
		Logger:   logger,
		Panicked: panicked,
		Handler: &nri.Handler{
			Deadline: newDeadline(config, panicked),
			Rootfs:   images.Rootfs,
			Volume:   images.Volume,
			Decide:   decider.Decide,
			Audit:    func(namespace string) bool { return config.Mode(namespace) == conf.ModeAudit },
			Report:   accounts.take,
		},
	}
	pulls := newPulls(config, decider, images, keeper, reached, accounts)
	pulls.panicked = panicked
	daemon := &daemon{
		config, logger, figures, accounts, images, documents, plugin, pulls,
		newPrefetch(config, decider, images, keeper, figures, fetchAhead, logger),
		newSandbox(config, pulls, images, reached, figures, lookAhead, logger),
		newEvidenceWork(decider, images, keeper, reached),
	}
	return daemon.serve(ctx)
}

// nameless reports whether a signature that names no repository is enough in a namespace.
func nameless(config *conf.Config) func(namespace string) bool {
	return func(namespace string) bool { return config.Identity(namespace) == conf.IdentityDigest }
}

// daemon is what runs for as long as the process does.
type daemon struct {
	config    *conf.Config
	logger    *slog.Logger
	metrics   *metrics.Metrics
	accounts  *accounts
	images    *origin.Containerd
	documents *files.Documents
	plugin    *nri.Plugin
	pulls     *pulls
	prefetch  *prefetch
	sandbox   *sandbox
	evidence  *evidenceWork
}

// serve runs everything until the context ends or a part cannot go on. The plugin is the first to stop: what it is
// still answering needs all the others.
func (d *daemon) serve(ctx context.Context) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	others, background := errgroup.WithContext(background)
	if err := d.serveMetrics(background, others); err != nil {
		return err
	}
	if err := d.serveSocket(background, others); err != nil {
		return err
	}
	others.Go(func() error { return d.documents.Run(background) })
	others.Go(func() error { return d.images.Run(background) })
	others.Go(func() error { d.accounts.run(background); return nil })
	others.Go(func() error { d.prefetch.run(background); return nil })
	others.Go(func() error { d.sandbox.run(background); return nil })

	// All documents are read by now. From here on the daemon waits most of the time, and one processor is faster at
	// that than two that wake each other: docs/decisions/0005-answer-on-one-processor.md.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	answering, stopAnswering := context.WithCancel(ctx)
	defer stopAnswering()
	context.AfterFunc(background, stopAnswering)
	d.announce(background, others)
	err := d.plugin.Run(answering)
	d.logger.InfoContext(ctx, "stopping")
	stopBackground()
	if failed := others.Wait(); failed != nil {
		return failed
	}
	return err
}

func (d *daemon) serveMetrics(ctx context.Context, others *errgroup.Group) error {
	if d.config.Listen.Metrics == "" {
		return nil
	}
	listener, err := metrics.Listen(ctx, d.config.Listen.Metrics)
	if err != nil {
		return err
	}
	others.Go(func() error { return d.metrics.Serve(ctx, listener) })
	return nil
}
