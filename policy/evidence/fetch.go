package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
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

// look is a [lookFunc]. Hosts are asked in the order of hosts.toml until one has signatures. That there are none is
// for the registry itself to say, which is the last of them; or for all the mirrors where it is not to be asked.
func (r *Registries) look(
	ctx context.Context, repository reference.Named, manifest digest.Digest, known []source,
) (*finding, error) {
	tag, err := signatureTag(repository, manifest)
	if err != nil {
		// No registry can have such a tag.
		return &finding{sources: []source{{Reference: repository.Name()}}, detail: err.Error()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	ctx = silence(ctx)
	credentials := newCredentials(ctx, r.config.AuthFile, repository)
	registry := newRegistry(credentials)
	defer registry.close()
	all, err := registry.hosts(ctx, r.config.HostsDirectory, repository)
	if err != nil {
		return nil, fmt.Errorf("reading how containerd reaches %s: %w", reference.Domain(repository), err)
	}
	return (&question{registry: registry, tag: tag, known: known}).ask(ctx, all)
}

// question is what is asked of one host after another.
type question struct {
	registry *registry
	tag      reference.NamedTagged
	known    []source
}

func (q *question) ask(ctx context.Context, all []docker.RegistryHost) (*finding, error) {
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

// askOne asks one host.
func (q *question) askOne(ctx context.Context, host docker.RegistryHost, left int) (found *finding, err error) {
	err = q.registry.ask(ctx, host, left, func(ctx context.Context, resolver remotes.Resolver) (err error) {
		found, err = q.read(ctx, resolver)
		return err
	})
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
