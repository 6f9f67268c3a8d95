package fetch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// bundleReader reads what referrers bring.
type bundleReader struct {
	*hostRequest
	from remotes.Fetcher
	into *Content
	out  leftOut
	// seen are the bundles that were read, because one can be attached twice. beyond is how many referrers are beyond the
	// limits, and unseen how many of these were not read.
	seen           map[digest.Digest]bool
	beyond, unseen int
	// hashes identify the checks of the callers that wait.
	hashes []uint64
	// noRoom reports whether there was no room for a file of the last referrer that was read.
	noRoom bool
	// payloads are the payloads of signatures, which several signatures often share.
	payloads map[digest.Digest][]byte
	// ahead is what was read of several referrers at the same time.
	ahead ahead
}

// full reports whether the limit of the kind of a listed referrer is reached: neither kind displaces the other from
// being read.
func (r *bundleReader) full(listed ocispec.Descriptor) bool {
	return r.into.count(listedKind(listed)) >= format.MaxFiles
}

// read reads referrers in their order, several ahead at the same time. That it did not come to the end in time is an
// [UnfinishedError].
func (r *bundleReader) read(ctx context.Context, list []ocispec.Descriptor) error {
	list, rest := list[:min(len(list), maxReferrers)], list[min(len(list), maxReferrers):]
	var beyond []ocispec.Descriptor
	for i, listed := range list {
		if r.full(listed) {
			beyond = append(beyond, listed)
			continue
		}
		if i%readAhead == 0 || r.ahead == nil {
			r.readAhead(ctx, list[i:min(len(list), i-i%readAhead+readAhead)])
		}
		r.noRoom = false
		err := r.readOne(ctx, listed)
		if r.noRoom {
			beyond = append(beyond, listed)
		}
		if bad, ok := errors.AsType[*registry.ContentError](err); ok {
			r.out.add(bad)
			continue
		}
		if err != nil && ctx.Err() != nil {
			return &UnfinishedError{Read: i, Of: len(list), Cause: err}
		}
		if err != nil {
			return err
		}
	}
	r.readWanted(ctx, append(beyond, rest...))
	return nil
}

// describe says in words what was left out.
func (r *bundleReader) describe(more bool) string {
	details := make([]string, 0, 2)
	if detail := r.out.describe("bundles", 0, 0); detail != "" {
		details = append(details, detail)
	}
	switch {
	case more:
		details = append(details, "not all referrers were read, because there are too many")
	case r.unseen > 0:
		details = append(details, fmt.Sprintf("%d older referrers were not looked at", r.unseen))
	case r.beyond > 0:
		details = append(details, fmt.Sprintf("%d older referrers were looked at and are not stored", r.beyond))
	}
	return strings.Join(details, "; ")
}

// readOne reads what one referrer brings.
func (r *bundleReader) readOne(ctx context.Context, listed ocispec.Descriptor) error {
	holds, err := r.holds(ctx, listed)
	if err != nil {
		return err
	}
	if holds.subject != "" && holds.subject != r.subject.Digest() {
		return registry.PermanentError("%s refers to %.80s", listed.Digest, holds.subject)
	}
	for _, layer := range holds.bundles {
		if r.seen[layer.Digest] || !r.reads(holds.predicate) {
			continue
		}
		if err := r.readBundle(ctx, layer, holds.predicate); err != nil {
			return err
		}
	}
	for _, layer := range slices.Backward(holds.signatures) {
		if r.into.count(format.KindSignature) >= format.MaxFiles {
			break
		}
		if err := r.readSignature(ctx, layer); err != nil {
			return err
		}
	}
	return nil
}

// readSignature reads one signature of the old format.
func (r *bundleReader) readSignature(ctx context.Context, layer ocispec.Descriptor) error {
	file, err := readSignature(ctx, r.from, layer, r.payloads)
	if err != nil {
		return err
	}
	if int64(len(file)) > r.room {
		r.noRoom = true
		return registry.PermanentError("all together have more than %d bytes", format.MaxTotal)
	}
	r.room -= int64(len(file))
	r.into.add(format.KindSignature, file)
	return nil
}

// holds returns the content of a referrer's manifest, from the cache or by reading it.
func (r *bundleReader) holds(ctx context.Context, listed ocispec.Descriptor) (*attached, error) {
	if known, ok := r.fetcher.attached.Get(listed.Digest); ok {
		return known, nil
	}
	if listed.Size < 0 || listed.Size > maxReferrer {
		return nil, registry.PermanentError("%s has %d bytes, and the manifest of a bundle has at most %d",
			listed.Digest, listed.Size, maxReferrer)
	}
	listed.MediaType = ocispec.MediaTypeImageManifest
	raw, err := r.ahead.content(ctx, r.from, listed)
	if err != nil {
		return nil, err
	}
	holds, err := parseAttached(raw)
	if err != nil {
		return nil, registry.PermanentError("%s: %v", listed.Digest, err)
	}
	r.fetcher.attached.Add(listed.Digest, holds, holds.weight())
	return holds, nil
}

func (r *bundleReader) readBundle(ctx context.Context, layer ocispec.Descriptor, predicate string) error {
	if err := r.fits(layer, predicate); err != nil {
		return err
	}
	if known, err := r.skipped(layer); known {
		r.seen[layer.Digest] = true
		return err
	}
	// As a blob, for any type.
	layer.MediaType = ocispec.MediaTypeImageLayer
	raw, err := r.ahead.content(ctx, r.from, layer)
	if err != nil {
		return err
	}
	r.seen[layer.Digest] = true
	parsed, err := format.ParseBundle(raw)
	if err != nil {
		err = registry.PermanentError("%s: %v", layer.Digest, err)
		r.fetcher.skipped.Add(layer.Digest, err, weight(err))
		return err
	}
	if !r.reads(parsed.PredicateType) {
		skipped := skippedAttestation(parsed.PredicateType)
		r.fetcher.skipped.Add(layer.Digest, skipped, weight(skipped))
		return nil
	}
	return r.take(raw, parsed.Kind())
}

// weight returns how many bytes of text an error has.
func weight(err error) int {
	if err == nil {
		return 0
	}
	return len(err.Error())
}
