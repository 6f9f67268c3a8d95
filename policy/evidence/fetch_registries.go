package evidence

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	dockerconfig "github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/distribution/reference"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
)

// RegistryConfig says how this node reaches registries. Each path may be empty, and what it names may be absent; all
// of it is read again each time it is needed.
type RegistryConfig struct {
	// HostsDirectory is containerd's registry config_path: the directory of its hosts.toml files, or several that are
	// separated by colons.
	HostsDirectory string
	// AuthFile is a docker config.json with credentials for registries.
	AuthFile string
	// Lookaside is containers/image's registries.d, which says where else signatures lie.
	Lookaside string
	// CredentialProviderConfig is the kubelet's file of that kind, and CredentialProviderDirectory has the programs
	// that it names. They are asked where AuthFile has nothing.
	CredentialProviderConfig, CredentialProviderDirectory string
	// Requested is told of each request to a registry, which is named as images name it, and what came of it. It must
	// not wait, and may be nil.
	Requested func(registry string, result Result)
}

// Registries reaches registries as containerd does: with its resolver, its hosts.toml files and their mirrors. It keeps
// no connection and no token from one question to the next: hosts.toml and credentials count as they are at the time.
type Registries struct {
	config RegistryConfig
	// timeout bounds what is asked for at once, over all hosts and blobs.
	timeout time.Duration
	pauses  *pauses
	// providers is nil where there are none.
	providers *providers
	// attached remembers what manifests of referrers hold.
	attached *lru.Cache[digest.Digest, *attached]
	// noted remembers blobs of referrers that say of no image that it is signed: attestations, by no error, and what
	// cannot be parsed.
	noted *lru.Cache[digest.Digest, error]
}

// NewRegistries returns the registries as a configuration says.
func NewRegistries(config RegistryConfig) *Registries {
	remembered, err := lru.New[digest.Digest, *attached](maxAttached)
	if err != nil {
		// Only for a size of nothing or less.
		panic(err)
	}
	noted, err := lru.New[digest.Digest, error](maxNoted)
	if err != nil {
		// As above.
		panic(err)
	}
	return &Registries{
		config: config, timeout: fetchTimeout, pauses: newPauses(), attached: remembered, noted: noted,
		providers: newProviders(config.CredentialProviderConfig, config.CredentialProviderDirectory),
	}
}

// newRegistry returns the way to a repository's registry.
func (r *Registries) newRegistry(ctx context.Context, repository reference.Named) *registry {
	found := newCredentials(ctx, r.config.AuthFile, r.providers, repository)
	made := newRegistry(reference.Domain(repository), found, r.pauses)
	made.requested = r.config.Requested
	return made
}

// Resolve returns the digest that a reference has: its own, or that under its tag, for which the registry is asked
// with a HEAD.
func (r *Registries) Resolve(ctx context.Context, ref reference.Named) (digest.Digest, error) {
	if digested, ok := ref.(reference.Digested); ok {
		return digested.Digest(), nil
	}
	ref = reference.TagNameOnly(ref)
	const able = docker.HostCapabilityPull | docker.HostCapabilityResolve
	var found digest.Digest
	err := r.first(ctx, ref, able, func(ctx context.Context, resolver remotes.Resolver) error {
		_, target, err := resolver.Resolve(ctx, ref.String())
		found = target.Digest
		return err
	})
	return found, err
}

// askFunc asks one host, which is the only one that the resolver knows.
type askFunc func(context.Context, remotes.Resolver) error

// first asks the hosts of a reference's registry in the order of hosts.toml, as far as they are able to what is asked,
// until one has an answer. The error is that of all of them.
func (r *Registries) first(ctx context.Context, ref reference.Named, able docker.HostCapabilities, ask askFunc) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	ctx = silence(ctx)
	registry := r.newRegistry(ctx, ref)
	defer registry.close()
	all, err := registry.hosts(ctx, r.config.HostsDirectory, reference.Domain(ref))
	if err != nil {
		return fmt.Errorf("reading how containerd reaches %s: %w", reference.Domain(ref), err)
	}
	var failure error
	for i, host := range all {
		if !host.Capabilities.Has(able) {
			continue
		}
		err := registry.ask(ctx, host, len(all)-i, ask)
		if err == nil {
			return nil
		}
		explained := registry.explain(ctx, ref.String(), host, err)
		if failure == nil {
			failure = explained
			continue
		}
		failure = &joinedError{all: []error{failure, explained}}
	}
	if failure == nil {
		return fmt.Errorf("fetching %s: hosts.toml names no host to pull from", ref)
	}
	return failure
}

// ask asks one host, which gets its part of the time that is left.
func (r *registry) ask(ctx context.Context, host docker.RegistryHost, left int, ask askFunc) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	r.begin(host)
	return ask(ctx, docker.NewResolver(docker.ResolverOptions{
		Hosts:   func(string) ([]docker.RegistryHost, error) { return []docker.RegistryHost{host}, nil },
		Headers: http.Header{"User-Agent": []string{userAgent}},
	}))
}

// hosts returns the hosts of a registry as containerd would ask them (containerd 2.4,
// core/remotes/docker/config): mirrors first. Plain HTTP is tried where containerd tries it, on localhost.
func (r *registry) hosts(ctx context.Context, directory, domain string) ([]docker.RegistryHost, error) {
	options := dockerconfig.HostOptions{
		Credentials:  r.credentials.lookup,
		UpdateClient: r.guard,
	}
	if directory != "" {
		options.HostDir = hostDirectory(directory)
		r.note = hostsNote(directory, domain)
	}
	return dockerconfig.ConfigureHosts(ctx, options)(domain)
}

// userAgent is who asks.
const userAgent = "countersign"

// errNoDigest says that what a registry serves names something by no digest.
var errNoDigest = errors.New("it names no digest that could be verified")
