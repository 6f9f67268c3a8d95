package fetch

import (
	"context"
	"hash/maphash"
	"maps"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/lru"
	"github.com/countersign/countersign/policy/registry"
)

// Config says where evidence is fetched from.
type Config struct {
	// Registries reaches the registries; nil: without any configuration.
	Registries *registry.Client
	// Lookaside is containers/image's registries.d, which names where else signatures are. It may be empty.
	Lookaside string
	// Repositories are the repositories with signatures of images in others, by prefixes of the names of these: the
	// longest prefix applies. The node's credentials are used for them.
	Repositories map[string]string
}

// Fetcher fetches evidence, and what an image is, from registries.
type Fetcher struct {
	*registry.Client
	// node uses only the node's credentials.
	node      *registry.Client
	lookaside string
	// repositories are those of [Config].
	repositories map[string]string
	// attached caches what manifests of referrers contain.
	attached *lru.Cache[digest.Digest, *attached]
	// skipped caches which blobs of referrers are no signature of an image: attestations, by a [skippedAttestation], and
	// what cannot be parsed.
	skipped *lru.Cache[digest.Digest, error]
	// screened caches which referrers have been read for callers that wait; seed is for hashes of their checks.
	screened *lru.Cache[screenedKey, screened]
	seed     maphash.Seed
}

// New returns a fetcher with a configuration.
func New(config Config) *Fetcher {
	if config.Registries == nil {
		config.Registries = registry.New(registry.Config{})
	}
	return &Fetcher{
		Client: config.Registries, node: config.Registries,
		lookaside: config.Lookaside, repositories: maps.Clone(config.Repositories),
		attached: lru.New[digest.Digest, *attached](
			lru.Bounds{Entries: maxAttached, Weight: maxAttached * maxAttachedBytes, EntryWeight: maxAttachedBytes}),
		skipped: lru.New[digest.Digest, error](
			lru.Bounds{Entries: maxSkipped, Weight: maxSkippedBytes, EntryWeight: maxSkippedBytes / maxSkipped}),
		screened: lru.New[screenedKey, screened](lru.Bounds{Entries: maxScreened, Weight: 1, EntryWeight: 1}),
		seed:     maphash.MakeSeed(),
	}
}

// With returns a fetcher for one request, which tries the credentials of that request before the node's. They may be
// nil.
func (f *Fetcher) With(credentials registry.CredentialFunc) *Fetcher {
	if credentials == nil {
		return f
	}
	with := *f
	with.Client = f.WithCredentials(credentials)
	return &with
}

// WithOnly is like With, but the fetcher does not try the node's credentials.
func (f *Fetcher) WithOnly(credentials registry.CredentialFunc) *Fetcher {
	with := *f
	with.Client = f.Client.WithOnly(credentials)
	return &with
}

// Problems returns what is wrong with the files that configure how this node reaches registries and lookasides: each
// concerns the registry or the scope that it names, and no other.
func (f *Fetcher) Problems() []error {
	problems := f.Client.Problems()
	if f.lookaside == "" {
		return problems
	}
	all, err := readLookasides(f.lookaside)
	if err != nil {
		return append(problems, err)
	}
	return append(problems, all.problems...)
}

// Image reads what a registry has of an image by its digest, as the policy judges it: the manifest that containerd
// would choose of it on this node, then other manifests of the same configuration and platform, then the indexes
// that lead to it. The reference, which is the image's only original, names the repository.
func (f *Fetcher) Image(ctx context.Context, ref reference.Named, target digest.Digest) (*policy.Image, error) {
	read, err := f.ReadImage(ctx, ref, target)
	if err != nil {
		return nil, err
	}
	image := &policy.Image{Config: read.Config, Confirmed: true, PulledAs: []reference.Named{ref}}
	for _, document := range read.Documents {
		image.Manifests = append(image.Manifests, policy.Manifest{
			Digest: document.Digest, MediaType: document.MediaType, Bytes: document.Bytes,
			Repositories: []string{ref.Name()},
		})
	}
	return image, nil
}
