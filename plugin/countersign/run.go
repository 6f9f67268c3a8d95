package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/origin"
)

func newRunCommand(stderr io.Writer) *cobra.Command {
	var path string
	command := &cobra.Command{
		Use:   "run",
		Short: "Answer containerd: the daemon",
		Long: `run registers with containerd's NRI as plugin "countersign" and validates every container
that is about to be created, until it is told to stop (SIGTERM). It keeps running while containerd
does not, and while policies are broken: it denies what it cannot decide. SIGHUP has it read its
configuration again. A configuration that is not valid at the start ends it with status 78.`,
		Example: `  countersign run
  countersign run --config /etc/countersign/config.toml`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			// From the first moment on SIGHUP does not end the process.
			reloads := make(chan os.Signal, 1)
			signal.Notify(reloads, syscall.SIGHUP)
			defer signal.Stop(reloads)
			config, err := conf.Read(path)
			if err != nil {
				return &configError{err}
			}
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			reload := &reloader{live: newLive(config), path: path, level: &slog.LevelVar{}}
			reload.log = newLogger(config, reload.level, stderr)
			return run(ctx, reload, reloads)
		},
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &configError{err} })
	command.Flags().StringVar(&path, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	return command
}

func newLogger(config *conf.Config, level *slog.LevelVar, w io.Writer) *slog.Logger {
	level.Set(config.Log.Level.Level())
	options := &slog.HandlerOptions{Level: level}
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
func run(ctx context.Context, reload *reloader, reloads <-chan os.Signal) error {
	config, logger := reload.live.config(), reload.log
	figures := newMetrics()
	panicked := survive(logger, figures)
	accounts := newAccounts(audit.New(logger), figures, panicked)

	images, err := origin.Open(config.Containerd.Address, config.Containerd.Namespace, logger, panicked)
	if err != nil {
		return fmt.Errorf("preparing to ask containerd: %w", err)
	}
	defer images.Close()
	fetchAhead, lookAhead := newBell(), newBell()
	documents := files.Open(documentsConfig(config, logger, panicked, func(status files.Status) {
		reportPolicies(figures, status)
		fetchAhead.ring()
		lookAhead.ring()
	}))
	requests := &registryRequests{metrics: figures, documents: documents.Current}
	reached := registries(config, requests.count)
	warnOfRegistries(ctx, config, reached, logger)
	keeper, err := openEvidence(config, reached, panicked, logger)
	if err != nil {
		return err
	}
	defer keeper.Close()
	reportStores(figures, documents, keeper)

	decider, err := policy.NewDecider(policy.Sources{
		Documents:   documents.Current,
		Image:       images.Image,
		Confirm:     images.Confirm,
		Kept:        keeper.Kept,
		Ask:         keeper.Ask,
		Kinds:       requirementKinds(panicked),
		Nameless:    reload.live.nameless,
		Panicked:    panicked,
		Generations: []func() uint64{images.Generation, keeper.Generation},
	})
	if err != nil {
		return fmt.Errorf("joining the parts of a decision: %w", err)
	}
	deadline := newDeadline(config, panicked)
	reload.deadline, reload.metrics, reload.changed = deadline, figures, lookAhead.ring
	reload.started(ctx)
	plugin := newPlugin(config, panicked, logger, &nri.Handler{
		Deadline: deadline,
		Content:  images.Content,
		Volume:   images.Volume,
		Decide:   decider.Decide,
		Audit:    reload.live.audit,
		Report:   accounts.take,
	})
	pulls := newPulls(reload.live, decider, images, keeper, reached, accounts)
	daemon := &daemon{
		config, reload.live, logger, figures, accounts, images, documents, plugin, pulls,
		newPrefetch(config, decider, images, keeper, figures, fetchAhead, logger),
		newSandbox(config, pulls, images, reached, figures, lookAhead, logger),
		newEvidenceWork(decider, images, keeper, reached), newChecks(decider, reload.live),
		func(ctx context.Context) { reload.run(ctx, reloads) },
	}
	return daemon.serve(ctx)
}

// daemon is what runs for as long as the process does.
type daemon struct {
	// config is the one at the start, for what cannot be replaced later.
	config    *conf.Config
	live      *live
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
	checks    *checks
	reload    func(context.Context)
}

// serve runs everything until the context ends or a part cannot go on. The plugin is the first to stop: what it is
// still answering needs all the others. The recorder is the last: whatever is answered until then is on record.
func (d *daemon) serve(ctx context.Context) error {
	defer d.accounts.start(context.WithoutCancel(ctx))()
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	others, background := errgroup.WithContext(background)
	// Whatever was started has ended when this returns.
	defer func() { stopBackground(); _ = others.Wait() }()
	if err := d.serveMetrics(background, others); err != nil {
		return err
	}
	if err := d.serveSocket(background, others); err != nil {
		return err
	}
	others.Go(func() error { return d.documents.Run(background) })
	others.Go(func() error { return d.images.Run(background) })
	others.Go(func() error { d.prefetch.run(background); return nil })
	others.Go(func() error { d.sandbox.run(background); return nil })
	others.Go(func() error { d.reload(background); return nil })

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
