package conf

import (
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

const (
	// minAnswer leaves time for a call to containerd.
	minAnswer = 10 * time.Millisecond
	// maxAnswer stays below the 2 s after which containerd's NRI disconnects a plugin (plugin_request_timeout).
	maxAnswer = 1500 * time.Millisecond
	// minTimeout is less than any registry needs, and maxTimeout stays below the 10 s after which containerd ends an image
	// verifier (per_verifier_timeout).
	minTimeout = 100 * time.Millisecond
	maxTimeout = 9 * time.Second
	// maxSocket is the longest path of a unix socket on Linux (unix(7), sun_path, less its final zero byte).
	maxSocket = 107
	// minEvidence is the size that a single signature may have.
	minEvidence = MiB
	// minAuditFile has room for thousands of records, and maxAuditFiles can be renamed in a few milliseconds.
	minAuditFile  = MiB
	maxAuditFiles = 100
)

// validate records values that have the right type but are invalid.
func (b *binder) validate(c *Config) {
	b.absolute("policy.system", c.Policy.System)
	b.pathOrNone("policy.directory", c.Policy.Directory)
	b.clusterPolicy(c.Policy)
	b.absolute("evidence.directory", c.Evidence.Directory)
	b.pathList("registry.config_path", c.Registry.ConfigPath)
	b.pathOrNone("registry.lookaside", c.Registry.Lookaside)
	b.pathOrNone("registry.auth_file", c.Registry.AuthFile)
	b.credentialProviders(c.Registry)
	b.signatureRepositories(c.Registry.SignatureRepositories)
	b.socket("containerd.address", c.Containerd.Address)
	b.socket("containerd.nri_socket", c.Containerd.NRISocket)
	b.socket("listen.socket", c.Listen.Socket)
	b.criProxy(c)
	b.metrics("listen.metrics", c.Listen.Metrics)
	b.namespaces("enforce.namespaces", slices.Sorted(maps.Keys(c.Enforce.Namespaces)))
	b.namespaces("enforce.running_namespaces", slices.Sorted(maps.Keys(c.Enforce.RunningNamespaces)))
	if period := c.Enforce.RunningGracePeriod; period < 0 {
		b.problem("enforce.running_grace_period", "enforce.running_grace_period is %s; it must not be negative", period)
	}
	b.namespaces("bundles.namespaces", slices.Sorted(maps.Keys(c.Bundles.Namespaces)))
	if answer := c.Enforce.DecisionTimeout; answer < minAnswer || answer > maxAnswer {
		b.problem("enforce.decision_timeout", "enforce.decision_timeout is %s; it must be between %s and %s because "+
			"containerd waits 2s and creates containers one after the other", answer, minAnswer, maxAnswer)
	}
	b.pull(c.Pull)
	b.audit(c.Audit)
	b.tracing(c.Tracing)
	if c.Evidence.MaxSize < minEvidence {
		b.problem("evidence.max_size", "evidence.max_size is %s; it must be at least %s", c.Evidence.MaxSize, minEvidence)
	}
	if !isContainerdNamespace(c.Containerd.Namespace) {
		b.problem("containerd.namespace", "containerd.namespace is %q, which containerd does not accept; "+
			`images of Kubernetes are in "k8s.io"`, c.Containerd.Namespace)
	}
}

func (b *binder) pull(p Pull) {
	if p.Timeout < minTimeout || p.Timeout > maxTimeout {
		b.problem("pull.timeout", "pull.timeout is %s; it must be between %s and %s because containerd ends an image "+
			"verifier after 10s", p.Timeout, minTimeout, maxTimeout)
	}
}

func (b *binder) audit(a Audit) {
	b.pathOrNone("audit.file", a.File)
	if a.MaxSize < minAuditFile {
		b.problem("audit.max_size", "audit.max_size is %s; it must be at least %s", a.MaxSize, minAuditFile)
	}
	if a.MaxFiles < 0 || a.MaxFiles > maxAuditFiles {
		b.problem("audit.max_files", "audit.max_files is %d; it must be between 0 and %d", a.MaxFiles, maxAuditFiles)
	}
}

// absolute requires an absolute path, because the daemon's working directory is arbitrary.
func (b *binder) absolute(key, path string) {
	if strings.ContainsRune(path, 0) || !filepath.IsAbs(path) {
		b.problem(key, "%s is %q; it must be an absolute path", key, path)
	}
}

func (b *binder) pathOrNone(key, path string) {
	if path != "" {
		b.absolute(key, path)
	}
}

// clusterPolicy requires a path that no other policy has: NAMESPACE.json in the directory is the policy of a namespace.
func (b *binder) clusterPolicy(p Policy) {
	const key = "policy.cluster"
	b.pathOrNone(key, p.Cluster)
	switch clean := filepath.Clean(p.Cluster); {
	case p.Cluster == "":
	case clean == filepath.Clean(p.System):
		b.problem(key, "%s is %q, and so is policy.system; set it to another path, or to \"\" for none", key, p.Cluster)
	case p.Directory != "" && filepath.Dir(clean) == filepath.Clean(p.Directory):
		b.problem(key, "%s is %q, which is in policy.directory, where every file is the policy of a namespace; "+
			"set it to a path in another directory, or to \"\" for none", key, p.Cluster)
	}
}

// pathList requires absolute paths separated by colons, or none. containerd treats an empty path as its working
// directory.
func (b *binder) pathList(key, list string) {
	for _, path := range filepath.SplitList(list) {
		if strings.ContainsRune(path, 0) || !filepath.IsAbs(path) {
			b.problem(key, "%s is %q; it must be absolute paths, separated by colons", key, list)
			return
		}
	}
}

// credentialProviders requires both of the kubelet's settings, or neither: a provider is a name in the configuration
// and a program in the directory.
func (b *binder) credentialProviders(r Registry) {
	const config, directory = "registry.credential_provider_config", "registry.credential_provider_directory"
	b.pathOrNone(config, r.CredentialProviderConfig)
	b.pathOrNone(directory, r.CredentialProviderDirectory)
	if (r.CredentialProviderConfig == "") != (r.CredentialProviderDirectory == "") {
		set := config
		if r.CredentialProviderConfig == "" {
			set = directory
		}
		b.problem(set, "%s is %q and %s is %q; set both, as the kubelet has them, or neither",
			config, r.CredentialProviderConfig, directory, r.CredentialProviderDirectory)
	}
}

func (b *binder) socket(key, path string) {
	b.absolute(key, path)
	if len(path) > maxSocket {
		b.problem(key, "%s has %d bytes; the maximum for the path of a unix socket is %d", key, len(path), maxSocket)
	}
}

// criProxy requires a socket that nothing else uses: with containerd's, the proxy would call itself.
func (b *binder) criProxy(c *Config) {
	const key = "cri_proxy.socket"
	if c.CRIProxy.Socket == "" {
		return
	}
	b.socket(key, c.CRIProxy.Socket)
	for _, other := range []struct{ key, socket string }{
		{"containerd.address", c.Containerd.Address},
		{"containerd.nri_socket", c.Containerd.NRISocket},
		{"listen.socket", c.Listen.Socket},
	} {
		if filepath.Clean(c.CRIProxy.Socket) == filepath.Clean(other.socket) {
			b.problem(key, "%s is %q, and so is %s; set it to a path that no other socket has, such as "+
				"/run/countersign/cri.sock", key, c.CRIProxy.Socket, other.key)
		}
	}
}

// metrics requires an address that only this node can reach: metrics contain the names of namespaces, and are not
// protected.
func (b *binder) metrics(key, address string) {
	if address == "" {
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		b.problem(key, `%s is %q; it must be an address and a port, like "127.0.0.1:9470", or "" for none`, key, address)
		return
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		b.problem(key, `%s is %q; it must be a loopback address, like "127.0.0.1:9470" or "[::1]:9470"`, key, address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		b.problem(key, "%s is %q; its port must be a number from 0 to 65535", key, address)
	}
}

// signatureRepositories checks that each prefix can be that of an image, and that each value is a repository.
func (b *binder) signatureRepositories(repositories map[string]string) {
	const key = "registry.signature_repositories"
	for _, prefix := range slices.Sorted(maps.Keys(repositories)) {
		at := join(key, prefix)
		// Short names have two spellings, of which only one would match.
		if below, err := reference.ParseNormalizedNamed(prefix + "/a/b"); err != nil || below.Name() != prefix+"/a/b" {
			b.problem(at, "%s: %q is not a prefix of repositories; write a host, such as registry.example or docker.io, "+
				"and perhaps a path", key, prefix)
		}
		repository, err := reference.ParseNormalizedNamed(repositories[prefix])
		if err != nil || !reference.IsNameOnly(repository) || repository.Name() != repositories[prefix] {
			b.problem(at, "%s: %q is not a repository; write HOST/PATH without a tag", key, repositories[prefix])
		}
	}
}

func (b *binder) namespaces(key string, names []string) {
	for _, name := range names {
		if !policy.ValidNamespace(name) {
			b.problem(join(key, name), "%s: %q is not a valid namespace of Kubernetes; "+
				"write lower-case letters, digits and dashes, at most 63", key, name)
		}
	}
}

// isContainerdNamespace follows containerd v2.4.2, pkg/identifiers.
func isContainerdNamespace(name string) bool {
	return len(name) <= 76 && regexp.MustCompile(`^[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*$`).MatchString(name)
}
