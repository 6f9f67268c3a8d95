package conf

import (
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"time"
)

// DefaultPath is where the configuration is looked for when no path is given.
const DefaultPath = "/etc/countersign/config.toml"

// Config is the configuration of one node, nested as config.toml is. Values from [Read] and [Parse] are valid.
type Config struct {
	// File is where it was read from; empty: the defaults, or [Parse].
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
}

// Policy says where the policy documents are.
type Policy struct {
	// System is the path of the system-wide policy.
	System string `toml:"system"`
	// Directory holds NAMESPACE.json for each namespace that has a document of its own. Empty: none has.
	Directory string `toml:"directory"`
}

// Enforce says what follows from a denial, and how long a decision may take.
type Enforce struct {
	Mode Mode `toml:"mode"`
	// DecisionTimeout is the time after which a container without a verdict is refused.
	DecisionTimeout time.Duration `toml:"decision_timeout"`
	// Namespaces are the exceptions to Mode.
	Namespaces map[string]Mode `toml:"namespaces"`
}

// Evidence says where signatures are kept.
type Evidence struct {
	Directory string `toml:"directory"`
	MaxSize   Size   `toml:"max_size"`
}

// Registry says where this node's own registry configuration is. An empty path: there is none.
type Registry struct {
	// ConfigPath is containerd's: a directory with a hosts.toml for each host, or several, separated by colons.
	ConfigPath string `toml:"config_path"`
	// Lookaside is containers/image's registries.d.
	Lookaside string `toml:"lookaside"`
	// AuthFile holds credentials in the format of docker's config.json.
	AuthFile string `toml:"auth_file"`
	// CredentialProviderConfig and CredentialProviderDirectory are the kubelet's: a CredentialProviderConfig
	// (kubelet.config.k8s.io/v1), and the directory of the programs that it names. Both are set, or neither.
	CredentialProviderConfig    string `toml:"credential_provider_config"`
	CredentialProviderDirectory string `toml:"credential_provider_directory"`
}

// Pull says how containerd's image verifier is answered.
type Pull struct {
	// Timeout is how long a pull waits for signatures before it goes on without.
	Timeout time.Duration `toml:"timeout"`
	// OnDaemonUnavailable is what becomes of pulls while the daemon is not there.
	OnDaemonUnavailable OnDaemonUnavailable `toml:"on_daemon_unavailable"`
}

// CRIProxy says where the CRI ImageService is served to the kubelet.
type CRIProxy struct {
	// Socket is the socket of the kubelet's imageServiceEndpoint. Empty: it is not served.
	Socket string `toml:"socket"`
}

// Bundles says how Sigstore bundles, which name no repository of their own, are matched with an image's reference.
type Bundles struct {
	Identity Identity `toml:"identity"`
	// Namespaces are the exceptions to Identity.
	Namespaces map[string]Identity `toml:"namespaces"`
}

// Containerd says how to reach containerd.
type Containerd struct {
	Address string `toml:"address"`
	// Namespace is containerd's own, not one of Kubernetes.
	Namespace string `toml:"namespace"`
	NRISocket string `toml:"nri_socket"`
}

// Listen says where the daemon can be asked.
type Listen struct {
	Socket string `toml:"socket"`
	// Metrics is a loopback address with a port, for /metrics and /healthz. Empty: they are not served.
	Metrics string `toml:"metrics"`
}

// Log says what is logged to standard error.
type Log struct {
	Level  Level  `toml:"level"`
	Format Format `toml:"format"`
}

// Default returns the configuration of a node that has no config.toml.
func Default() *Config {
	return &Config{
		Policy:   Policy{System: "/etc/containers/policy.json", Directory: "/etc/countersign/policies"},
		Enforce:  Enforce{Mode: ModeEnforce, DecisionTimeout: 250 * time.Millisecond},
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
	}
}

// Mode returns what follows from a denial in a Kubernetes namespace.
func (c *Config) Mode(namespace string) Mode {
	if mode, ok := c.Enforce.Namespaces[namespace]; ok {
		return mode
	}
	return c.Enforce.Mode
}

// Identity returns what ties a bundle to a reference in a Kubernetes namespace.
func (c *Config) Identity(namespace string) Identity {
	if identity, ok := c.Bundles.Namespaces[namespace]; ok {
		return identity
	}
	return c.Bundles.Identity
}

// ModeAnywhere reports whether that mode is the one of some namespace, as far as can be told without knowing them.
func (c *Config) ModeAnywhere(mode Mode) bool {
	return c.Enforce.Mode == mode || slices.Contains(slices.Collect(maps.Values(c.Enforce.Namespaces)), mode)
}

// IdentityAnywhere reports whether that identity is the one of some namespace.
func (c *Config) IdentityAnywhere(identity Identity) bool {
	return c.Bundles.Identity == identity ||
		slices.Contains(slices.Collect(maps.Values(c.Bundles.Namespaces)), identity)
}

// StateFile returns the path of the file that remembers, over restarts, that the policy directory held documents. It
// lies next to the evidence, because both are the daemon's own and neither is configuration.
func (c *Config) StateFile() string {
	return filepath.Join(filepath.Dir(c.Evidence.Directory), "policies-seen")
}
