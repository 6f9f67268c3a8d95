package evidence

import (
	"context"
	"net/http"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/registry"
)

// What the external tests of this package need from within.

// FetchFunc replaces a registry in tests with virtual time, which does not pass while a network connection is open.
type FetchFunc func(repository reference.Named, manifest, known digest.Digest) (Found, error)

// Found is what a FetchFunc found.
type Found struct {
	Unchanged bool
	Files     [][]byte
	Bundles   [][]byte
	Tag       digest.Digest
}

// OpenWith opens a Keeper that fetches by a function.
func OpenWith(config Config, fetchEvidence FetchFunc) (*Keeper, error) {
	return open(config, func(
		ctx context.Context, request fetch.Request,
	) (*fetch.Result, error) {
		var tag digest.Digest
		if len(request.Known) > 0 {
			tag = request.Known[0].Digest
		}
		found, err := fetchEvidence(request.Repository, request.Manifest, tag)
		if err != nil {
			return nil, err
		}
		return &fetch.Result{
			Unchanged: found.Unchanged,
			Files:     filesOf(found.Files, found.Bundles),
			Sources:   []format.SourceState{{Digest: found.Tag}},
		}, ctx.Err()
	})
}

// OpenAs opens a Keeper that fetches by a function of the username of a request's credentials.
func OpenAs(config Config, fetchAs func(username string) (Found, error)) (*Keeper, error) {
	return open(config, func(_ context.Context, request fetch.Request) (*fetch.Result, error) {
		username := ""
		if request.Credentials != nil {
			username, _, _ = request.Credentials(reference.Domain(request.Repository))
		}
		found, err := fetchAs(username)
		if err != nil {
			return nil, err
		}
		return &fetch.Result{
			Files: filesOf(found.Files, found.Bundles), Sources: []format.SourceState{{Digest: found.Tag}},
		}, nil
	})
}

// Busy returns the error of a registry that asks for a pause.
func Busy(after time.Duration) error {
	return &registry.BusyError{Status: http.StatusTooManyRequests, After: after}
}

func filesOf(signatures, bundles [][]byte) []format.File {
	return append(format.Files(format.KindSignature, signatures...), format.Files(format.KindBundle, bundles...)...)
}

// Waiting returns how many checks wait for evidence of a manifest in a repository.
func (k *Keeper) Waiting(manifest digest.Digest, repository string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.entries[store.Key{Manifest: manifest, Repository: repository}]
	if !ok {
		return 0
	}
	return len(e.waiting)
}

// Unrecorded returns how many satisfactions of a manifest in a repository wait to be recorded.
func (k *Keeper) Unrecorded(manifest digest.Digest, repository string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.entries[store.Key{Manifest: manifest, Repository: repository}]
	if !ok {
		return 0
	}
	return len(e.unrecorded)
}

// Registries returns of how many registries something is remembered.
func (k *Keeper) Registries() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.queue.registries.all)
}
