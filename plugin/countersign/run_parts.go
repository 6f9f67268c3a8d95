package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/origin"
	"github.com/countersign/countersign/policy/signature"
)

// survive logs and counts panics that are the failure of what panicked, and not the daemon's end.
func survive(logger *slog.Logger, figures *metrics.Metrics) policy.PanicFunc {
	return func(failure *policy.PanicError) {
		logger.Error("survived a panic: a fault of countersign, please report it",
			"part", failure.Part, "panic", fmt.Sprint(failure.Value), "stack", failure.Stack)
		figures.Panicked(failure.Part)
	}
}

func newMetrics() *metrics.Metrics {
	build, _ := debug.ReadBuildInfo()
	return metrics.New(build)
}

func documentsConfig(
	config *conf.Config, logger *slog.Logger, panicked policy.PanicFunc, notify func(files.Status),
) files.Config {
	return files.Config{
		System:    config.Policy.System,
		Directory: config.Policy.Directory,
		StateFile: config.StateFile(),
		Parse:     signature.NewParser(requirementKinds(panicked)).Parse,
		Panicked:  panicked,
		Logger:    logger,
		Notify:    notify,
	}
}

func newDeadline(config *conf.Config, panicked policy.PanicFunc) *policy.Deadline {
	deadline := policy.NewDeadline(config.Enforce.DecisionTimeout)
	deadline.Panicked = panicked
	return deadline
}

// requirementKinds is the table of all kinds of requirements. A new kind is one more row.
func requirementKinds(panicked policy.PanicFunc) policy.Kinds {
	signatures, bundles := signature.NewJudge(), bundle.NewJudge()
	signatures.Panicked, bundles.Panicked = panicked, panicked
	kinds := signature.Kinds(signatures)
	kinds.AddJudge(policy.SigstoreSigned, policy.Judge{Name: "bundle", Func: bundles.Judge})
	return kinds
}

func openEvidence(
	config *conf.Config, reached *evidence.Fetcher, panicked policy.PanicFunc, logger *slog.Logger,
) (*evidence.Keeper, error) {
	keeper, err := evidence.Open(evidence.Config{
		Directory: config.Evidence.Directory,
		MaxSize:   int64(config.Evidence.MaxSize),
		Fetcher:   reached,
		Panicked:  panicked,
		Logger:    logger,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing to keep evidence: %w", err)
	}
	return keeper, nil
}

func newPlugin(
	config *conf.Config, panicked policy.PanicFunc, logger *slog.Logger, handler *nri.Handler,
) *nri.Plugin {
	return &nri.Plugin{
		Socket:   config.Containerd.NRISocket,
		Logger:   logger,
		Panicked: panicked,
		Version:  containerdVersion(config.Containerd.Address),
		Handler:  handler,
	}
}

// newPulls joins what answers containerd's image verifier.
func newPulls(live *live, decider *policy.Decider, images *origin.Containerd, keeper *evidence.Keeper,
	reached *evidence.Fetcher, accounts *accounts,
) *pulls {
	return &pulls{
		asks:     decider.Asks,
		decide:   decider.DecidePull,
		find:     images.Find,
		known:    images.Image,
		read:     reached.Image,
		kept:     keeper.Kept,
		fetch:    keeper.Fetch,
		panicked: accounts.panicked,
		report:   accounts.takePull,
		timeout:  func() time.Duration { return live.config().Pull.Timeout },
		auditing: func() bool { return live.config().ModeAnywhere(conf.ModeAudit) },
		nameless: func() bool { return live.config().IdentityAnywhere(conf.IdentityDigest) },
	}
}

// newPrefetch joins what fetches evidence ahead.
func newPrefetch(config *conf.Config, decider *policy.Decider, images *origin.Containerd, keeper *evidence.Keeper,
	figures *metrics.Metrics, policies bell, log *slog.Logger,
) *prefetch {
	return &prefetch{
		held:     images.Held,
		state:    images.State,
		changed:  images.Changed,
		present:  images.Present,
		asks:     decider.Asks,
		kept:     evidence.Read(config.Evidence.Directory),
		fetch:    keeper.Fetch,
		expire:   keeper.Expire,
		fetched:  figures.Prefetched,
		waiting:  figures.PrefetchWaiting,
		panicked: survive(log, figures),
		policies: policies,
		log:      log,
	}
}

// newSandbox joins what looks after the image that every pod starts with.
func newSandbox(config *conf.Config, pulls *pulls, images *origin.Containerd, reached *evidence.Fetcher,
	figures *metrics.Metrics, again bell, log *slog.Logger,
) *sandbox {
	return &sandbox{
		read: func(ctx context.Context) { awaitImages(ctx, images) },
		here: func(ctx context.Context, name string) (digest.Digest, bool) {
			return targetOf(ctx, config.Containerd, name)
		},
		resolve: reached.Resolve,
		judge:   pulls.judge,
		accept: func(ctx context.Context, ref reference.Named) policy.Verdict {
			return pulls.decide(ctx, ref, nil, pulls.nameless())
		},
		auditing: pulls.auditing,
		found:    func(status metrics.Status, cause string) { figures.Set(metrics.Sandbox, status, cause) },
		panicked: survive(log, figures),
		again:    again,
		log:      log,
	}
}

// awaitImages waits until it is known which images are here.
func awaitImages(ctx context.Context, images *origin.Containerd) {
	for {
		changed := images.Changed()
		if state := images.State(); state.Following && state.Unread == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// targetOf returns the manifest or index that a name leads to in containerd, and false where that is not known.
func targetOf(ctx context.Context, containerd conf.Containerd, name string) (digest.Digest, bool) {
	var image client.Image
	connection, err := connect(ctx, containerd.Address, containerd.Namespace)
	if err == nil {
		defer connection.Close()
		image, err = connection.GetImage(ctx, name)
	}
	if err != nil {
		return "", false
	}
	return image.Target().Digest, true
}
