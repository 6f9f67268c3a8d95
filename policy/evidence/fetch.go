package evidence

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	dockerconfig "github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// fetchTimeout bounds one fetch.
	fetchTimeout = 10 * time.Second
	// maxManifest bounds the manifest under a signatures' tag, in bytes.
	maxManifest = 4 << 20
)

// fetcher looks for signatures in registries, each of which it reaches as containerd does. It keeps no connection and
// no token from one look to the next: hosts.toml and credentials count as they are at the time.
type fetcher struct {
	// hosts is containerd's registry config_path, authFile a docker config.json; both may be empty.
	hosts    string
	authFile string
	// timeout bounds one look, over all hosts and layers.
	timeout time.Duration
}

// look is a [lookFunc]. Hosts are asked in the order of hosts.toml until one has signatures. That there are none is
// for the registry itself to say, which is the last of them; or for all the mirrors where it is not to be asked.
func (f *fetcher) look(
	ctx context.Context, repository reference.Named, manifest digest.Digest, known []source,
) (*finding, error) {
	tag, err := signatureTag(repository, manifest)
	if err != nil {
		// No registry can have such a tag.
		return &finding{sources: []source{{Reference: repository.Name()}}, detail: err.Error()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	ctx = silence(ctx)
	credentials := newCredentials(ctx, f.authFile, repository)
	registry := newRegistry(credentials)
	defer registry.close()
	all, err := registry.hosts(ctx, f.hosts, repository)
	if err != nil {
		return nil, fmt.Errorf("reading how containerd reaches %s: %w", reference.Domain(repository), err)
	}
	return f.ask(ctx, &question{registry: registry, tag: tag, known: known}, all)
}

// question is what is asked of one host after another.
type question struct {
	registry *registry
	tag      reference.NamedTagged
	known    []source
}

func (f *fetcher) ask(ctx context.Context, q *question, all []docker.RegistryHost) (*finding, error) {
	const able = docker.HostCapabilityPull | docker.HostCapabilityResolve
	var none *finding
	var failure error
	for i, host := range all {
		if !host.Capabilities.Has(able) {
			continue
		}
		found, err := q.askOne(ctx, host, len(all)-i)
		switch {
		case err != nil && failure == nil:
			failure = err
		case err != nil:
		case found.unchanged || !found.empty():
			return found, nil
		case i == len(all)-1:
			return found, nil
		default:
			none = found
		}
	}
	if failure != nil {
		return nil, failure
	}
	if none == nil {
		return nil, fmt.Errorf("fetching %s: hosts.toml names no host to pull from", q.tag)
	}
	return none, nil
}

// askOne asks one host, which gets its part of the time that is left.
func (q *question) askOne(ctx context.Context, host docker.RegistryHost, left int) (*finding, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	q.registry.begin(host)
	resolver := docker.NewResolver(docker.ResolverOptions{
		Hosts:   func(string) ([]docker.RegistryHost, error) { return []docker.RegistryHost{host}, nil },
		Headers: http.Header{"User-Agent": []string{"countersign"}},
	})
	found, err := q.read(ctx, resolver)
	if err != nil {
		return nil, q.registry.explain(ctx, q.tag, host, err)
	}
	found.sources = []source{{
		Reference: q.tag.String(), Host: host.Host, Digest: found.digest, Partial: found.partial,
	}}
	return found, nil
}

func (q *question) read(ctx context.Context, resolver remotes.Resolver) (*finding, error) {
	name, manifest, err := resolver.Resolve(ctx, q.tag.String())
	if errdefs.IsNotFound(err) && q.registry.saidNotFound() {
		return &finding{}, nil
	}
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(q.known, func(s source) bool { return s.Digest == manifest.Digest }) {
		return &finding{unchanged: true}, nil
	}
	if manifest.Size > maxManifest {
		return nil, fmt.Errorf("its manifest has %d bytes, more than the %d that are read", manifest.Size, maxManifest)
	}
	if !images.IsManifestType(manifest.MediaType) && !images.IsIndexType(manifest.MediaType) {
		// The fetcher would ask for a blob.
		manifest.MediaType = ocispec.MediaTypeImageManifest
	}
	from, err := resolver.Fetcher(ctx, name)
	if err != nil {
		return nil, err
	}
	raw, err := readContent(ctx, from, manifest)
	if err != nil {
		return nil, fmt.Errorf("its manifest: %w", err)
	}
	found, err := readSignatures(ctx, from, raw)
	if err != nil {
		return nil, err
	}
	found.digest = manifest.Digest
	return found, nil
}

// signatureTag returns the tag that cosign gives the signatures of a manifest.
func signatureTag(repository reference.Named, manifest digest.Digest) (reference.NamedTagged, error) {
	tag := fmt.Sprintf("%s-%s.sig", manifest.Algorithm(), manifest.Encoded())
	tagged, err := reference.WithTag(reference.TrimNamed(repository), tag)
	if err != nil {
		return nil, errors.New("digests of this length have no signatures' tag")
	}
	return tagged, nil
}

// hosts returns the hosts of a repository's registry as containerd would ask them (containerd 2.4,
// core/remotes/docker/config): mirrors first. Plain HTTP is tried where containerd tries it, on localhost.
func (r *registry) hosts(ctx context.Context, directory string, named reference.Named) ([]docker.RegistryHost, error) {
	options := dockerconfig.HostOptions{
		Credentials:  r.credentials.lookup,
		UpdateClient: r.guard,
	}
	if directory != "" {
		options.HostDir = dockerconfig.HostDirFromRoot(directory)
	}
	return dockerconfig.ConfigureHosts(ctx, options)(reference.Domain(named))
}
