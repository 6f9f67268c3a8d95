package policy

import (
	"fmt"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// StoredEvidence is the evidence that this node stores for an image, as found in one repository: an element for each of
// the image's manifests, in their order.
type StoredEvidence []Evidence

// Evidence is what is stored of signatures for one manifest in one repository.
type Evidence struct {
	Manifest digest.Digest
	// Generation changes whenever the bytes in the directory do, or anything else here but Source and FetchedAt; it is
	// not used twice. What is found under zero is not cached.
	Generation uint64
	State      State
	// Directory holds the signatures in the format of containers/image's dir: transport, and Sigstore bundles as
	// bundle-1.json, bundle-2.json, ….
	Directory string
	// Instance, where set, is the manifest of an index copied whole: its signatures are called <hex>.signature-N.
	Instance digest.Digest
	// Signatures is how many signatures there are, and Bundles how many bundles.
	Signatures, Bundles int
	// Partial reports, with [Found], whether some signatures could not be read: that none of those that are here
	// is sufficient is no answer then.
	Partial bool
	// Unusable reports, with [None], whether there is something, none of which can be read as a signature or a bundle,
	// so that another fetch would find the same.
	Unusable bool
	// Detail is why the fetch failed, or what is missing.
	Detail string
	// Source names where it was fetched from or that it was imported, and FetchedAt is when the registry last had
	// anything new; empty and zero where that is not known. Decisions do not depend on them.
	Source    string
	FetchedAt time.Time
}

// Judgeable reports whether there is something to judge, and returns the finding where there is not; what names what is
// looked for, a signature or a bundle.
func (e Evidence) Judgeable(manifest digest.Digest, what string) (finding Finding, ok bool) {
	switch e.State {
	case Found:
		return Finding{}, true
	case None:
		return e.Lacks(manifest, what), false
	case Failed:
		return Finding{Reason: Unavailable, Detail: "looking for signatures: " + e.Detail}, false
	default:
		return Finding{Reason: Pending, Detail: fmt.Sprintf("nothing is known of signatures of %s yet", manifest)}, false
	}
}

// Lacks is the finding where no signature, or no bundle, is among what was found.
func (e Evidence) Lacks(manifest digest.Digest, what string) Finding {
	if e.Unusable {
		return Finding{
			Reason: Rejected, Cause: Malformed,
			Detail: fmt.Sprintf("no %s of %s can be read: %s", what, manifest, e.Detail),
		}
	}
	finding := Finding{
		Reason: Unsigned, Cause: NoSignature, Detail: fmt.Sprintf("no %s of %s was found", what, manifest),
	}
	if e.Detail != "" {
		finding.Detail += " (" + e.Detail + ")"
	}
	return finding
}

// State distinguishes "fetched and found none", "fetch failed" and "not fetched yet".
type State uint8

// The zero State is that nothing is known.
const (
	Unknown State = iota
	Found
	None
	Failed
)

// LookupFunc looks up the stored evidence of an image's manifests in the repository of a reference. It never waits;
// where nothing is stored it may start a fetch, and returns [Unknown].
type LookupFunc func([]Manifest, reference.Named) StoredEvidence

// RefetchFunc fetches evidence again, because the stored evidence is not sufficient and someone waits. It does not
// wait; the callee limits how often the registry is asked.
type RefetchFunc func([]Manifest, reference.Named)
