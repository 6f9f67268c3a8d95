package conf

import (
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/countersign/countersign/policy"
)

// DefaultPath is the path of the configuration if none is given.
const DefaultPath = "/etc/countersign/config.toml"

// Config is the configuration of one node, nested as in config.toml. Values from [Read] and [Parse] are valid.
type Config struct {
	// File is the file that was read; empty for the defaults, and after [Parse].
	File string `toml:"-"`

	Policy     Policy     `toml:"policy"`
	Enforce    Enforce    `toml:"enforce"`
	Evidence   Evidence   `toml:"evidence"`
	Registry   Registry   `toml:"registry"`
	Pull       Pull       `toml:"pull"`
	CRIProxy   CRIProxy   `toml:"cri_proxy"`
	Bundles    Bundles    `toml:"bundles"`
	Containerd Containerd `toml:"containerd"`
	Listen     Listen     `toml:"listen"`
	Log        Log        `toml:"log"`
	Audit      Audit      `toml:"audit"`
	Tracing    Tracing    `toml:"tracing"`
}

// Policy contains the paths of the policy documents.
type Policy struct {
	// System is the path of the system-wide policy.
	System string `toml:"system"`
	// Cluster is the path of the cluster document, which replaces the system policy where it exists. Empty: there is none.
	Cluster string `toml:"cluster"`
	// Directory contains NAMESPACE.json for each namespace with a document of its own. Empty: there are none.
	Directory string `toml:"directory"`
}

// Enforce configures whether denials are enforced, and how long a decision may take.
type Enforce struct {
	Mode Mode `toml:"mode"`
	// DecisionTimeout is the time after which a container without a verdict is refused.
	DecisionTimeout time.Duration `toml:"decision_timeout"`
	// InsecureRemoteSnapshotters admits containers whose files are fetched when they are read.
	InsecureRemoteSnapshotters bool `toml:"insecure_remote_snapshotters"`
	// Running is what happens to a running container that the policy refuses, and RunningGracePeriod how long it is only
	// reported.
	Running            Running       `toml:"running"`
	RunningGracePeriod time.Duration `toml:"running_grace_period"`
	// RunningNamespaces are the exceptions to Running.
	RunningNamespaces map[string]Running `toml:"running_namespaces"`
	// Namespaces are the exceptions to Mode.
	Namespaces map[string]Mode `toml:"namespaces"`
}

// Evidence configures the store of signatures.
type Evidence struct {
	Directory string `toml:"directory"`
	MaxSize   Size   `toml:"max_size"`
}

// Registry contains the paths of the node's registry configuration. An empty path: there is none.
type Registry struct {
	// ConfigPath is containerd's setting: one or several directories, separated by colons, with a hosts.toml per host.
	ConfigPath string `toml:"config_path"`
	// Lookaside is the registries.d directory of containers/image.
	Lookaside string `toml:"lookaside"`
	// AuthFile contains credentials in the format of docker's config.json.
	AuthFile string `toml:"auth_file"`
	// CredentialProviderConfig and CredentialProviderDirectory are the kubelet's settings: a CredentialProviderConfig
	// (kubelet.config.k8s.io/v1), and the directory of its programs. Both are set, or neither.
	CredentialProviderConfig    string `toml:"credential_provider_config"`
	CredentialProviderDirectory string `toml:"credential_provider_directory"`
	// SignatureRepositories are the repositories with signatures of images in others, by prefixes of the names of these.
	SignatureRepositories map[string]string `toml:"signature_repositories"`
}

// Pull configures the answers to containerd's image verifier.
type Pull struct {
	// Timeout is how long a pull waits for signatures; then it continues without them.
	Timeout time.Duration `toml:"timeout"`
	// OnDaemonUnavailable says whether pulls are allowed while the daemon is unreachable.
	OnDaemonUnavailable OnDaemonUnavailable `toml:"on_daemon_unavailable"`
}

// CRIProxy says where the CRI ImageService is served to the kubelet.
type CRIProxy struct {
	// Socket is the socket of the kubelet's imageServiceEndpoint. Empty: it is not served.
	Socket string `toml:"socket"`
}

// Bundles configures how Sigstore bundles, which need not name a repository, are matched with an image's reference.
type Bundles struct {
	Identity Identity `toml:"identity"`
	// Namespaces are the exceptions to Identity.
	Namespaces map[string]Identity `toml:"namespaces"`
}

// Containerd configures the connection to containerd.
type Containerd struct {
	Address string `toml:"address"`
	// Namespace is a namespace of containerd, not of Kubernetes.
	Namespace string `toml:"namespace"`
	NRISocket string `toml:"nri_socket"`
}

// Listen configures where the daemon listens.
type Listen struct {
	Socket string `toml:"socket"`
	// Metrics is a loopback address with a port, for /metrics, /healthz and /readyz. Empty: they are not served.
	Metrics string `toml:"metrics"`
}

// Log configures the log on standard error.
type Log struct {
	Level  Level  `toml:"level"`
	Format Format `toml:"format"`
}

// Audit configures the file with the records of decisions and pulls. They are written to the log too.
type Audit struct {
	// File is the path of the file. Empty: there is none.
	File string `toml:"file"`
	// MaxSize is the size at which the file is rotated, and MaxFiles how many rotated files remain.
	MaxSize  Size `toml:"max_size"`
	MaxFiles int  `toml:"max_files"`
}

// Tracing configures the traces of decisions.
type Tracing struct {
	// Endpoint is the URL of an OpenTelemetry collector. Empty: nothing is traced.
	Endpoint string          `toml:"endpoint"`
	Protocol TracingProtocol `toml:"protocol"`
	// SampleRatio is the fraction of the decisions that are traced, from 0 to 1.
	SampleRatio float64 `toml:"sample_ratio"`
}

// Default returns the configuration of a node without config.toml.
func Default() *Config {
	return &Config{
		Policy: Policy{
			System: "/etc/containers/policy.json", Cluster: "/etc/countersign/cluster.json",
			Directory: "/etc/countersign/policies",
		},
		Enforce:  Enforce{Mode: ModeEnforce, DecisionTimeout: 250 * time.Millisecond, RunningGracePeriod: 10 * time.Minute},
		Evidence: Evidence{Directory: "/var/lib/countersign/evidence", MaxSize: 1 << 30},
		Registry: Registry{
			ConfigPath: "/etc/containerd/certs.d:/etc/docker/certs.d",
			Lookaside:  "/etc/containers/registries.d",
			AuthFile:   "/var/lib/kubelet/config.json",
		},
		Pull:    Pull{Timeout: 8 * time.Second, OnDaemonUnavailable: DenyPulls},
		Bundles: Bundles{Identity: IdentityAnnotation},
		Containerd: Containerd{
			Address:   "/run/containerd/containerd.sock",
			Namespace: "k8s.io",
			NRISocket: "/var/run/nri/nri.sock",
		},
		Listen: Listen{Socket: "/run/countersign/countersign.sock", Metrics: "127.0.0.1:9470"},
		Log:    Log{Level: Level(slog.LevelInfo), Format: FormatJSON},
		Audit:  Audit{MaxSize: 100 * MiB, MaxFiles: 5},

		Tracing: Tracing{Protocol: TracingHTTP, SampleRatio: 1},
	}
}

// Mode returns the mode of a Kubernetes namespace. The canaries prove that containers can be refused, so that they are
// never in audit mode.
func (c *Config) Mode(namespace string) Mode {
	if namespace == policy.CanaryNamespace {
		return ModeEnforce
	}
	if mode, ok := c.Enforce.Namespaces[namespace]; ok {
		return mode
	}
	return c.Enforce.Mode
}

// Running returns what happens to running containers of a Kubernetes namespace that its policy refuses. They are never
// stopped in audit mode, and in kube-system only if that is named: without its containers a node does not work.
func (c *Config) Running(namespace string) Running {
	if c.Mode(namespace) == ModeAudit {
		return RunningReport
	}
	if running, ok := c.Enforce.RunningNamespaces[namespace]; ok {
		return running
	}
	if namespace == "kube-system" {
		return RunningReport
	}
	return c.Enforce.Running
}

// StopsAnywhere reports whether running containers are stopped in some namespace.
func (c *Config) StopsAnywhere() bool {
	return c.Enforce.Running == RunningStop ||
		slices.Contains(slices.Collect(maps.Values(c.Enforce.RunningNamespaces)), RunningStop)
}

// Identity returns how bundles are matched with references in a Kubernetes namespace.
func (c *Config) Identity(namespace string) Identity {
	if identity, ok := c.Bundles.Namespaces[namespace]; ok {
		return identity
	}
	return c.Bundles.Identity
}

// ModeAnywhere reports whether some namespace has that mode, by default or as an exception.
func (c *Config) ModeAnywhere(mode Mode) bool {
	return c.Enforce.Mode == mode || slices.Contains(slices.Collect(maps.Values(c.Enforce.Namespaces)), mode)
}

// IdentityAnywhere reports whether some namespace has that identity.
func (c *Config) IdentityAnywhere(identity Identity) bool {
	return c.Bundles.Identity == identity ||
		slices.Contains(slices.Collect(maps.Values(c.Bundles.Namespaces)), identity)
}

// StopsFile returns the path of the file that records, over restarts, when containers were stopped.
func (c *Config) StopsFile() string {
	return filepath.Join(filepath.Dir(c.Evidence.Directory), "containers-stopped")
}

// StateFile returns the path of the file that records, over restarts, that the policy directory contained documents. It
// is next to the evidence, because the daemon writes both and neither is configuration.
func (c *Config) StateFile() string {
	return filepath.Join(filepath.Dir(c.Evidence.Directory), "policies-seen")
}

// ClusterStateFile returns the path of the file that records, over restarts, that there was a cluster document.
func (c *Config) ClusterStateFile() string {
	return filepath.Join(filepath.Dir(c.Evidence.Directory), "cluster-policy-seen")
}
