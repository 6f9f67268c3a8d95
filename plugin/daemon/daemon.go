package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/plugin/internal/tracing"
	"github.com/countersign/countersign/plugin/pull"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	evidencefetch "github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/origin"
)

// Options configure a daemon.
type Options struct {
	// Config is the configuration at the start, and ConfigPath the file from which it is reloaded, as on the command line.
	Config     *conf.Config
	ConfigPath string
	// Reload receives a signal for each reload of the configuration.
	Reload <-chan os.Signal
	// Version is the program's version, for the log.
	Version string
	// Log is where the daemon writes its log and its audit records.
	Log io.Writer
	// Supervised is set if a supervisor of ours runs the daemon, and not systemd.
	Supervised bool
}

// daemon has the parts of the running process, in the order in which a request passes them.
type daemon struct {
	// config is the configuration at the start, for settings that cannot change later; current is the current one.
	config  *conf.Config
	current *current
	log     *slog.Logger
	// tracer is nil if nothing is traced.
	tracer  *tracing.Tracer
	metrics *metrics.Metrics
	version string
	// supervised is reported to operators.
	supervised bool
	// panicked logs and counts a panic, which fails the part that panicked but does not end the daemon.
	panicked policy.PanicFunc
	// kinds is the table of all kinds of requirements, for the parser of documents and for decisions.
	kinds policy.Kinds
	// named are the registries that documents name.
	named namedRegistries
	// policiesChanged, sandboxChanged and runningChanged notify prefetch, sandbox and running of changed policies or
	// configuration.
	policiesChanged, sandboxChanged, runningChanged notifier

	plugin     *nri.Plugin
	images     *origin.Containerd
	documents  *files.Documents
	registries *evidencefetch.Fetcher
	keeper     *evidence.Keeper
	background *background
	decider    *policy.Decider
	deadline   *policy.Deadline
	recorder   *recorder

	gate     *pull.Gate
	prefetch *prefetch
	sandbox  *sandboxImage
	evidence *EvidenceService
	checks   *checks
	running  *running
	preview  *preview
	// explainer answers the command explain.
	explainer *explainer
	reloader  *reloader
}

// Run runs a daemon until the context ends or a part fails. The package documentation describes the order of the parts.
func Run(ctx context.Context, options Options) error {
	d := newDaemon(options)
	limitMemory(d.log)
	stopTracing, err := d.startTracing(ctx)
	if err != nil {
		return err
	}
	defer stopTracing()
	// 1. request: the container that containerd is about to create.
	d.plugin = d.newPlugin()
	// 2. content: the image of its root filesystem.
	images, err := origin.Open(d.config.Containerd.Address, d.config.Containerd.Namespace, d.log, d.panicked)
	if err != nil {
		return fmt.Errorf("preparing to read containerd's images: %w", err)
	}
	defer images.Close()
	images.AllowRemoteSnapshotters(d.current.remoteSnapshotters)
	d.images = images
	// 3. policy: the document of the namespace.
	d.documents = d.openDocuments()
	// 4. evidence: the signatures and bundles that this node stores.
	d.registries = d.newRegistries(ctx)
	if d.keeper, err = d.openEvidence(); err != nil {
		return err
	}
	defer d.keeper.Close()
	// 5. verdict: whether they satisfy the document.
	d.background = newBackground(d.panicked)
	defer d.background.close()
	if d.decider, err = d.newDecider(); err != nil {
		return fmt.Errorf("connecting the parts of a decision: %w", err)
	}
	// 6. answer: to containerd, in the audit log and in metrics.
	d.plugin.Handler = &nri.Handler{
		Deadline:     d.deadline,
		Content:      d.images.Content,
		Volume:       d.images.Volume,
		Record:       d.images.Record,
		Decide:       d.decider.Decide,
		DecideVolume: d.decider.DecideVolume,
		Audit:        d.current.audit,
		Report:       d.recorder.record,
	}
	d.traceContainers(d.plugin.Handler)
	// What precedes a container: the pull of its image, and the evidence of images that were not pulled through the gate.
	d.gate = d.newGate()
	d.prefetch = d.newPrefetch()
	d.sandbox = d.newSandboxImage()
	// What follows it: whether running containers would still be admitted.
	d.running = d.newRunning()
	// For operators: the commands that use the daemon's socket, and health checks.
	d.evidence = d.newEvidenceService()
	d.checks = d.newChecks()
	d.explainer = d.newExplainer()
	d.preview = d.newPreview()
	d.registerProbes()
	d.reloader.started(ctx, options.Version)
	return d.serve(ctx, options.Reload)
}

// newDaemon returns a daemon with the values that all parts share.
func newDaemon(options Options) *daemon {
	d := &daemon{
		config: options.Config, current: newCurrent(options.Config), metrics: newMetrics(), version: options.Version,
		supervised: options.Supervised,
	}
	level := &slog.LevelVar{}
	d.log = newLogger(options.Config, level, options.Log)
	d.panicked = func(failure *policy.PanicError) {
		d.log.Error("recovered from a panic: this is a bug in countersign, please report it",
			"part", failure.Part, "panic", fmt.Sprint(failure.Value), "stack", failure.Stack)
		d.metrics.Panicked(failure.Part)
	}
	d.kinds = RequirementKinds(d.panicked)
	d.policiesChanged, d.sandboxChanged, d.runningChanged = newNotifier(), newNotifier(), newNotifier()
	d.recorder = newRecorder(newAuditFile(d.config.Audit, d.log), d.log, d.metrics)
	d.deadline = policy.NewDeadline(d.config.Enforce.DecisionTimeout)
	d.deadline.Panicked = d.panicked
	d.reloader = &reloader{
		current: d.current, path: options.ConfigPath, level: level, deadline: d.deadline, metrics: d.metrics, log: d.log,
		changed: func() { d.sandboxChanged.notify(); d.runningChanged.notify() }, reopen: d.recorder.file.reopen,
	}
	return d
}

// serve runs all parts until the context ends or one fails. The plugin stops first, because its answers need all other
// parts. The recorder stops last, so that it records every answer.
func (d *daemon) serve(ctx context.Context, reload <-chan os.Signal) error {
	d.recorder.file.reopen()
	defer d.recorder.file.close()
	defer d.recorder.start(context.WithoutCancel(ctx))()
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	group, background := errgroup.WithContext(background)
	// All goroutines have ended when this function returns.
	defer func() { stopBackground(); _ = group.Wait() }()
	if err := d.serveMetrics(background, group); err != nil {
		return err
	}
	if err := d.serveSocket(background, group); err != nil {
		return err
	}
	stopPulls, err := d.serveKubelet(ctx, background, group)
	if err != nil {
		return err
	}
	group.Go(func() error { return d.documents.Run(background) })
	group.Go(func() error { return d.images.Run(background) })
	group.Go(func() error { d.prefetch.run(background); return nil })
	group.Go(func() error { d.sandbox.run(background); return nil })
	group.Go(func() error { d.running.run(background); return nil })
	group.Go(func() error { d.reloader.run(background, reload); return nil })

	// All documents have been read. From now on the daemon waits most of the time, and one processor is faster than two
	// that wake each other: docs/decisions/0005-answer-on-one-processor.md.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	answering, stopAnswering := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAnswering()
	context.AfterFunc(background, stopAnswering)
	// While the daemon waits for pulls, containers are still created.
	context.AfterFunc(ctx, func() { stopPulls(); stopAnswering() })
	d.reportStatus(background, group)
	err = d.plugin.Run(answering)
	d.log.InfoContext(ctx, "stopping")
	stopPulls()
	stopBackground()
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

func (d *daemon) serveMetrics(ctx context.Context, group *errgroup.Group) error {
	if d.config.Listen.Metrics == "" {
		return nil
	}
	listener, err := metrics.Listen(ctx, d.config.Listen.Metrics)
	if err != nil {
		return err
	}
	group.Go(func() error { return d.metrics.Serve(ctx, listener) })
	return nil
}
