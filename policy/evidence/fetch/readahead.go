package fetch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

const (
	// readAhead is how many referrers are read at the same time: in one after the other, 300 take longer than a fetch may.
	readAhead = 8
	// maxSkipped limits the cached blobs that are not signatures of an image, and maxSkippedBytes the text of their
	// errors.
	maxSkipped      = 16384
	maxSkippedBytes = 16 << 20
)

// ahead is what was read before its turn, or why it could not be.
type ahead map[digest.Digest]*readResult

type readResult struct {
	raw []byte
	err error
}

// content returns what was read before its turn, once, or else reads it.
func (a ahead) content(ctx context.Context, from remotes.Fetcher, of ocispec.Descriptor) ([]byte, error) {
	known, ok := a[of.Digest]
	if !ok || known.err == nil && int64(len(known.raw)) != of.Size {
		return registry.ReadContent(ctx, from, of)
	}
	delete(a, of.Digest)
	if failure, ok := errors.AsType[*policy.PanicError](known.err); ok {
		// The owner of the fetch reports the panic.
		panic(failure)
	}
	return known.raw, known.err
}

// readAhead reads the contents of several referrers concurrently. [bundleReader.readOne] reports errors.
func (r *bundleReader) readAhead(ctx context.Context, list []ocispec.Descriptor) {
	read := make([]ahead, len(list))
	var all sync.WaitGroup
	for i, listed := range list {
		if slices.ContainsFunc(list[:i], func(o ocispec.Descriptor) bool { return o.Digest == listed.Digest }) {
			continue
		}
		read[i] = ahead{}
		all.Go(func() {
			failure := policy.Guard("reading referrers", nil, func() error {
				r.readInto(ctx, read[i], listed)
				return nil
			})
			if failure != nil {
				read[i][listed.Digest] = &readResult{err: failure}
			}
		})
	}
	all.Wait()
	r.ahead = ahead{}
	for _, one := range read {
		maps.Copy(r.ahead, one)
	}
}

// readInto reads what one referrer brings: its manifest unless that is remembered, and its bundle, if it has just one.
// It changes nothing of the reader.
func (r *bundleReader) readInto(ctx context.Context, into ahead, listed ocispec.Descriptor) {
	holds, ok := r.fetcher.attached.Get(listed.Digest)
	if !ok {
		if listed.Size < 0 || listed.Size > maxReferrer {
			return
		}
		listed.MediaType = ocispec.MediaTypeImageManifest
		raw, err := registry.ReadContent(ctx, r.from, listed)
		into[listed.Digest] = &readResult{raw: raw, err: err}
		if err != nil {
			return
		}
		if holds, err = parseAttached(raw); err != nil {
			return
		}
	}
	if len(holds.bundles) != 1 || !r.reads(holds.predicate) || holds.subject != "" && holds.subject != r.subject.Digest() {
		return
	}
	layer := holds.bundles[0]
	limit := min(format.MaxFile, r.room)
	if len(r.predicates) > 0 && holds.predicate != format.SignPredicate {
		limit = min(format.MaxAttestation, max(r.room, r.attestationRoom))
	}
	if skipped, _ := r.skipped(layer); skipped || r.seen[layer.Digest] || layer.Size < 0 || layer.Size > limit {
		return
	}
	layer.MediaType = ocispec.MediaTypeImageLayer
	raw, err := registry.ReadContent(ctx, r.from, layer)
	into[layer.Digest] = &readResult{raw: raw, err: err}
}

// UnfinishedError reports that the time of a fetch ended before it had read every referrer. What it read is remembered:
// the next fetch continues from there.
type UnfinishedError struct {
	// Read is how many referrers were read, Of how many there are.
	Read, Of int
	// Cause is the error that ended the fetch.
	Cause error
}

func (e *UnfinishedError) Error() string {
	return fmt.Sprintf("no answer within the time that a fetch may take: %d of %d referrers were read, "+
		"and the next fetch continues from there", e.Read, e.Of)
}

func (e *UnfinishedError) Unwrap() error { return e.Cause }
