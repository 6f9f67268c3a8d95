package registry

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	dockerconfig "github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/distribution/reference"
)

// Session is the HTTP state of one operation with the hosts of one registry: where the registry was reached, and what
// it answered. It must be closed.
//
// It does not follow a registry to addresses of this node, its link or a metadata service, unless the registry itself
// is there. Names are checked on the connection, after they were resolved.
type Session struct {
	config      *Config
	credentials *credentials
	backoff     *hostBackoff
	// domain is the registry's name in references.
	domain string

	mu sync.Mutex
	// transports are the transports in use; the hosts of a registry may share one.
	transports []*http.Transport
	// own are the names, host:port, of the current host, and proxies those of proxies on the way to it. at has the
	// addresses at which the host was reached.
	own, proxies map[string]bool
	at           map[netip.Addr]bool
	// headers are the headers in hosts.toml for the current host.
	headers http.Header
	// status is the status of the last answer, and manifest that of the last answer about a manifest.
	status, manifest int
	// answeredBy is the host that gave the last answer.
	answeredBy string
}

// NewSession returns the state of an operation with a repository's registry. Credential programs are killed when ctx
// ends.
func (c *Client) NewSession(ctx context.Context, repository reference.Named) *Session {
	return &Session{
		config: &c.config, domain: reference.Domain(repository), backoff: c.backoff,
		credentials: &credentials{
			request: c.credentials, only: c.only, node: c.node.Keyring(ctx, repository), used: map[string]bool{},
		},
	}
}

// Begin drops what is known about another host: it holds for a mirror, but not necessarily for the registry.
func (s *Session) Begin(host docker.RegistryHost) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.transports {
		t.CloseIdleConnections()
	}
	s.own, s.proxies, s.at = map[string]bool{}, map[string]bool{}, map[netip.Addr]bool{}
	s.status, s.manifest, s.answeredBy, s.headers = 0, 0, "", host.Header
	// With TLS on localhost containerd falls back to plain HTTP, which has another default port.
	s.own[withPort(&url.URL{Scheme: "https", Host: host.Host})] = true
	s.own[withPort(&url.URL{Scheme: "http", Host: host.Host})] = true
}

// Close closes the connections.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.transports {
		t.CloseIdleConnections()
	}
}

// Hosts returns the hosts of a registry in containerd's order (containerd 2.4, core/remotes/docker/config): mirrors
// first. Plain HTTP is tried where containerd tries it, on localhost.
func (s *Session) Hosts(ctx context.Context, domain string) ([]docker.RegistryHost, error) {
	options := dockerconfig.HostOptions{
		Credentials:  s.credentials.lookup,
		UpdateClient: s.restrict,
	}
	if s.config.HostsDirectory != "" {
		options.HostDir = hostDirectory(s.config.HostsDirectory)
	}
	return dockerconfig.ConfigureHosts(discardLogs(ctx), options)(domain)
}

// Ask calls ask for one host, which gets its share of the remaining time for this many hosts. If the host rejects the
// node's credentials, it calls ask again with the next ones, as the kubelet does.
func (s *Session) Ask(ctx context.Context, config docker.RegistryHost, hosts int, ask AskFunc) error {
	ctx = discardLogs(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(hosts))
		defer cancel()
	}
	for {
		s.Begin(config)
		s.credentials.begin()
		err := ask(ctx, s.host(config))
		if err == nil || ctx.Err() != nil || !s.denied(err) || !s.credentials.reject() {
			return err
		}
		again, ok := s.configureAgain(ctx, config)
		if !ok {
			return err
		}
		config = again
	}
}

func (s *Session) host(config docker.RegistryHost) *Host {
	return &Host{
		RegistryHost: config, session: s,
		Resolver: docker.NewResolver(docker.ResolverOptions{
			Hosts:   func(string) ([]docker.RegistryHost, error) { return []docker.RegistryHost{config}, nil },
			Headers: http.Header{"User-Agent": []string{UserAgent}},
		}),
	}
}

// denied reports whether the last answer is why ask failed, and requires other credentials.
func (s *Session) denied(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return denied(err, s.status)
}

// configureAgain returns the host with an authorizer that has no credentials and no token yet.
func (s *Session) configureAgain(ctx context.Context, config docker.RegistryHost) (docker.RegistryHost, bool) {
	hosts, err := s.Hosts(ctx, s.domain)
	if err != nil {
		return docker.RegistryHost{}, false
	}
	i := slices.IndexFunc(hosts, func(other docker.RegistryHost) bool {
		return other.Scheme == config.Scheme && other.Host == config.Host && other.Path == config.Path
	})
	if i < 0 {
		return docker.RegistryHost{}, false
	}
	return hosts[i], true
}

// UserAgent is the User-Agent of requests to registries.
const UserAgent = "countersign"

// saidNotFound reports whether the last answer about a manifest was 404.
func (s *Session) saidNotFound() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifest == http.StatusNotFound
}
