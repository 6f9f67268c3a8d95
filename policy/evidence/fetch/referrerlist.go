package fetch

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// referrerList is a list of what refers to a subject, as far as it can be a bundle or signatures.
type referrerList struct {
	candidates []ocispec.Descriptor
	// reads reports whether bundles with a predicate type are read.
	reads func(predicate string) bool
	bad   leftOut
	// listed is the number of entries, and more reports whether there are others.
	listed int
	more   bool
}

// add adds an index. What is wrong with one descriptor leaves it out.
func (r *referrerList) add(raw []byte) error {
	var index struct {
		SchemaVersion int               `json:"schemaVersion"`
		Manifests     []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return fmt.Errorf("its list of referrers is not JSON of the expected form: %w", err)
	}
	if index.SchemaVersion != 2 {
		return errors.New("its list of referrers is not an index")
	}
	if room := maxListed - r.listed; len(index.Manifests) > room {
		// New ones are added at the end.
		index.Manifests, r.more = index.Manifests[len(index.Manifests)-room:], true
	}
	r.listed += len(index.Manifests)
	for _, one := range index.Manifests {
		var listed ocispec.Descriptor
		err := json.Unmarshal(one, &listed)
		if err == nil && (!candidate(&listed) || !r.reads(listed.Annotations[predicateAnnotation])) {
			continue
		}
		if err == nil {
			err = listed.Digest.Validate()
		}
		if err != nil {
			r.bad.add(&registry.ContentError{
				Problem: "a referrer is listed by no usable descriptor: " + err.Error(), Permanent: true,
			})
			continue
		}
		r.candidates = append(r.candidates, trimmed(&listed))
	}
	return nil
}

// signatureArtifact is the artifact type of cosign's old format attached as a referrer (cosign 3.1.3,
// --registry-referrers-mode=oci-1-1). Docker's hardened images are signed so.
const signatureArtifact = "application/vnd.dev.cosign.artifact.sig.v1+json"

// candidate reports whether a referrer can be a bundle with a signature of an image, or signatures of the old format.
// What a list says of it is not relied on where it says little: registries take the type of the configuration for that
// of the artifact (go-containerregistry v0.22.1), and some leave out annotations. Nor is it relied on which of the two
// it is: the manifest says that.
func candidate(of *ocispec.Descriptor) bool {
	if of.MediaType != "" && !images.IsManifestType(of.MediaType) {
		return false
	}
	switch of.ArtifactType {
	case "", ocispec.MediaTypeEmptyJSON, ocispec.MediaTypeImageConfig, signatureArtifact:
		return true
	default:
		return strings.HasPrefix(of.ArtifactType, format.BundlePrefix)
	}
}

// maxCreated is how long the time is by which referrers are ordered, in bytes; that of RFC 3339 has 35 at the most.
const maxCreated = 64

// trimmed returns the used fields of a descriptor, because a list can have pages of megabytes.
func trimmed(listed *ocispec.Descriptor) ocispec.Descriptor {
	short := ocispec.Descriptor{Digest: listed.Digest, Size: listed.Size, Annotations: map[string]string{}}
	if created := listed.Annotations[ocispec.AnnotationCreated]; created != "" && len(created) <= maxCreated {
		short.Annotations[ocispec.AnnotationCreated] = created
	}
	// It is one that is needed, so that it is no longer than a policy's.
	if predicate := listed.Annotations[predicateAnnotation]; isAttestation(predicate) {
		short.Annotations[predicateAnnotation] = predicate
	}
	if listed.ArtifactType == signatureArtifact {
		short.ArtifactType = signatureArtifact
	}
	return short
}

// digest identifies the entries independently of their order, because some registries have none. It is empty for an
// empty list.
func (r *referrerList) digest() digest.Digest {
	if len(r.candidates) == 0 {
		return ""
	}
	lines := make([]string, 0, len(r.candidates))
	for _, listed := range r.candidates {
		lines = append(lines, listed.Digest.String())
	}
	slices.Sort(lines)
	return digest.FromString(strings.Join(lines, "\n"))
}

// ordered returns the referrers to look at: what signs the image before attestations, and of each the last made first,
// as far as they say when that was, and then the last ones of the list first, because new ones are added at its end if
// it has an order.
func (r *referrerList) ordered() []ocispec.Descriptor {
	ordered := slices.Clone(r.candidates)
	slices.Reverse(ordered)
	slices.SortStableFunc(ordered, func(a, b ocispec.Descriptor) int {
		if byKind := cmp.Compare(rankOf(a), rankOf(b)); byKind != 0 {
			return byKind
		}
		// Times in the form of RFC 3339 and in UTC, as cosign writes them, have the order of their texts.
		return strings.Compare(b.Annotations[ocispec.AnnotationCreated], a.Annotations[ocispec.AnnotationCreated])
	})
	return ordered
}

// rankOf returns the rank of a referrer in the order of reading.
func rankOf(listed ocispec.Descriptor) int {
	if listedKind(listed) == format.KindAttestation {
		return 1
	}
	return 0
}
