package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/evidence"
	evidencefetch "github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/origin"
	"github.com/countersign/countersign/policy/registry"
	"github.com/countersign/countersign/policy/signature"
)

func newMetrics() *metrics.Metrics {
	build, _ := debug.ReadBuildInfo()
	return metrics.New(build)
}

func newLogger(config *conf.Config, level *slog.LevelVar, w io.Writer) *slog.Logger {
	level.Set(config.Log.Level.Level())
	options := &slog.HandlerOptions{Level: level}
	if config.Log.Format == conf.FormatText {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// newPlugin returns the plugin without its handler.
func (d *daemon) newPlugin() *nri.Plugin {
	address := d.config.Containerd.Address
	return &nri.Plugin{
		Socket:   d.config.Containerd.NRISocket,
		Logger:   d.log,
		Panicked: d.panicked,
		Version:  func(ctx context.Context) (string, error) { return containerd.Version(ctx, address) },
		Unsupported: func(ctx context.Context) error {
			return containerd.Unsupported(ctx, address, d.current.remoteSnapshotters())
		},
	}
}

// Documents returns the configuration for reading policy documents with these kinds of requirements. It omits the
// settings of a daemon.
func Documents(config *conf.Config, kinds policy.Kinds) files.Config {
	return files.Config{
		System:           config.Policy.System,
		Cluster:          config.Policy.Cluster,
		Directory:        config.Policy.Directory,
		StateFile:        config.StateFile(),
		ClusterStateFile: config.ClusterStateFile(),
		Parse:            PolicyParser(kinds),
	}
}

// PolicyParser returns the parser of policy documents with requirements of those kinds.
func PolicyParser(kinds policy.Kinds) policy.ParseFunc { return signature.NewParser(kinds).Parse }

// canaryPolicy returns the document of the canaries.
func canaryPolicy(parse policy.ParseFunc) policy.Source {
	source := policy.Source{Name: "the policy of the canaries"}
	if source.Document, source.Err = parse([]byte(policy.CanaryPolicy), nil); source.Err == nil {
		source.Document.Name = source.Name
	}
	return source
}

func (d *daemon) openDocuments() *files.Documents {
	config := Documents(d.config, d.kinds)
	config.Canary = canaryPolicy(config.Parse)
	config.Panicked, config.Logger = d.panicked, d.log
	config.Notify = func(status files.Status) {
		d.reportPolicies(status)
		if d.documents != nil {
			d.named.update(d.documents.Current())
		}
		d.policiesChanged.notify()
		d.sandboxChanged.notify()
		d.runningChanged.notify()
	}
	documents := files.Open(config)
	d.named.update(documents.Current())
	return documents
}

// Registries returns a fetcher for the registries, with the registry configuration of the node. It calls requested,
// which may be nil, for each request.
func Registries(config *conf.Config, requested func(host string, result registry.Result)) *evidencefetch.Fetcher {
	return evidencefetch.New(evidencefetch.Config{
		Registries: registry.New(registry.Config{
			HostsDirectory:              config.Registry.ConfigPath,
			AuthFile:                    config.Registry.AuthFile,
			CredentialProviderConfig:    config.Registry.CredentialProviderConfig,
			CredentialProviderDirectory: config.Registry.CredentialProviderDirectory,
			Requested:                   requested,
		}),
		Lookaside:    config.Registry.Lookaside,
		Repositories: config.Registry.SignatureRepositories,
	})
}

func (d *daemon) newRegistries(ctx context.Context) *evidencefetch.Fetcher {
	requests := &registryRequests{metrics: d.metrics, named: d.named.by}
	registries := Registries(d.config, requests.count)
	d.logRegistryProblems(ctx, registries)
	return registries
}

func (d *daemon) openEvidence() (*evidence.Keeper, error) {
	keeper, err := evidence.Open(evidence.Config{
		Directory: d.config.Evidence.Directory,
		MaxSize:   int64(d.config.Evidence.MaxSize),
		Fetcher:   d.registries,
		Named:     d.named.contains,
		Predicates: func(repository reference.Named) policy.Predicates {
			return d.documents.Current().Predicates(repository)
		},
		Panicked: d.panicked,
		Logger:   d.log,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the evidence store: %w", err)
	}
	return keeper, nil
}

// RequirementKinds returns the table of all kinds of requirements. A new kind is one more row. panicked may be nil.
func RequirementKinds(panicked policy.PanicFunc) policy.Kinds {
	signatures, bundles := signature.NewJudge(), bundle.NewJudge()
	signatures.Panicked, bundles.Panicked = panicked, panicked
	kinds := signature.Kinds(signatures)
	kinds.AddJudge(policy.SigstoreSigned, policy.Judge{Name: "bundle", Func: bundles.Judge})
	kinds.AddJudge(policy.Attested, policy.Judge{Name: "attestation", Func: bundles.Judge})
	return kinds
}

func (d *daemon) newDecider() (*policy.Decider, error) { return policy.NewDecider(d.sources()) }

func (d *daemon) sources() policy.Sources {
	return policy.Sources{
		Documents:   d.documents.Current,
		Image:       d.images.Image,
		Confirm:     d.images.Confirm,
		Lookup:      d.keeper.Lookup,
		Refetch:     d.keeper.Refetch,
		Satisfied:   d.keeper.Satisfied,
		Stored:      evidence.Read(d.config.Evidence.Directory),
		Start:       d.background.start,
		Kinds:       d.kinds,
		NoIdentity:  d.current.noIdentity,
		Panicked:    d.panicked,
		Generations: []func() uint64{d.images.Generation, d.keeper.Generation},
	}
}

func (d *daemon) newPrefetch() *prefetch {
	return &prefetch{
		news:    d.images.News,
		names:   d.images.Names,
		held:    d.images.LocalImagesOf,
		state:   d.images.State,
		changed: d.images.Changed,
		present: d.images.Present,
		requiresSignature: func(ref reference.Named) bool {
			return !policy.IsCanary(ref.Name()) && d.decider.RequiresSignature(ref)
		},
		lookup:          evidence.Read(d.config.Evidence.Directory),
		fetch:           d.keeper.Fetch,
		expire:          d.keeper.Expire,
		fetched:         d.metrics.Prefetched,
		waiting:         d.metrics.PrefetchWaiting,
		panicked:        d.panicked,
		policiesChanged: d.policiesChanged,
		log:             d.log,
	}
}

func (d *daemon) newSandboxImage() *sandboxImage {
	return &sandboxImage{
		awaitImages: func(ctx context.Context) { _ = AwaitImages(ctx, d.images) },
		target: func(ctx context.Context, name string) (digest.Digest, bool) {
			return targetOf(ctx, d.config.Containerd, name)
		},
		resolve:        d.registries.Resolve,
		judge:          d.gate.Judge,
		judgeReference: d.gate.JudgeReference,
		audit:          func() bool { return d.current.config().ModeAnywhere(conf.ModeAudit) },
		report: func(status metrics.Status, cause string) {
			d.metrics.Set(metrics.Sandbox, status, cause)
		},
		panicked: d.panicked,
		changed:  d.sandboxChanged,
		log:      d.log,
	}
}

// targetOf returns the manifest or index that containerd has under a name, and false if that cannot be determined.
func targetOf(ctx context.Context, config conf.Containerd, name string) (digest.Digest, bool) {
	connection, err := containerd.Connect(ctx, config.Address, config.Namespace)
	if err != nil {
		return "", false
	}
	defer connection.Close()
	image, err := connection.GetImage(ctx, name)
	if err != nil {
		return "", false
	}
	return image.Target().Digest, true
}

func (d *daemon) newEvidenceService() *EvidenceService {
	return &EvidenceService{
		Images: func(context.Context) ([]origin.LocalImage, error) {
			if !d.images.State().Complete() {
				return nil, ErrImagesUnknown
			}
			return d.images.LocalImages(), nil
		},
		RequiresSignature: d.decider.RequiresSignature,
		Registry:          fetch.Registry{Resolve: d.registries.Resolve, Image: d.registries.Image},
		Fetch:             d.keeper.Fetch,
		Lookup:            d.keeper.Lookup,
		Import:            d.keeper.Import,
	}
}
