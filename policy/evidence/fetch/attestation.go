package fetch

import (
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// isAttestation reports whether a predicate type is one of attestations. An empty one is not known.
func isAttestation(predicate string) bool {
	return predicate != "" && predicate != format.SignPredicate
}

// reads reports whether bundles with a predicate type are read. Without one it is found out by reading.
func (q *request) reads(predicate string) bool {
	return !isAttestation(predicate) || slices.Contains(q.predicates, predicate) ||
		slices.Contains(q.predicates, string(policy.AllPredicates))
}

// skippedAttestation is why a bundle was skipped: it is an attestation with this predicate type, which nobody needed.
// It is an error only to be cached with others.
type skippedAttestation string

func (s skippedAttestation) Error() string { return string(s) }

// skipped reports whether a bundle is known not to be needed, and why it cannot be parsed, if that is the reason.
func (r *bundleReader) skipped(layer ocispec.Descriptor) (known bool, err error) {
	err, known = r.fetcher.skipped.Get(layer.Digest)
	if of, ok := err.(skippedAttestation); ok { //nolint:errorlint // It is never wrapped.
		return !r.reads(string(of)), nil
	}
	return known, err
}

// listedKind returns the kind of what a referrer brings, as far as its list says so.
func listedKind(listed ocispec.Descriptor) format.Kind {
	switch {
	case listed.ArtifactType == signatureArtifact:
		return format.KindSignature
	case isAttestation(listed.Annotations[predicateAnnotation]):
		return format.KindAttestation
	default:
		return format.KindBundle
	}
}

// fits returns an error if a bundle is too large for those that its predicate type allows, or if there is no room.
func (r *bundleReader) fits(layer ocispec.Descriptor, predicate string) error {
	limit, room := format.KindBundle.MaxSize(), r.room
	// Without a predicate type it can be either.
	if len(r.predicates) > 0 && predicate != format.SignPredicate {
		limit, room = format.KindAttestation.MaxSize(), max(r.room, r.attestationRoom)
	}
	if layer.Size < 0 || layer.Size > limit {
		return registry.PermanentError("bundle %s has %d bytes, and one has at most %d", layer.Digest, layer.Size, limit)
	}
	if layer.Size > room {
		r.noRoom = true
		return registry.PermanentError("all together have more than %d bytes", format.MaxTotal)
	}
	return nil
}

// take adds a bundle, if there is room for one of its kind.
func (r *bundleReader) take(raw []byte, kind format.Kind) error {
	room := &r.room
	if kind == format.KindAttestation {
		room = &r.attestationRoom
	}
	if int64(len(raw)) > *room || r.into.count(kind) >= format.MaxFiles {
		r.noRoom = true
		if r.into.count(kind) >= format.MaxFiles {
			// It is beyond the limit, and not bad.
			return nil
		}
		return registry.PermanentError("all together have more than %d bytes", format.MaxTotal)
	}
	*room -= int64(len(raw))
	r.into.add(kind, raw)
	return nil
}
