package policy

import (
	"fmt"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Kept is what this node keeps of signatures for an image, as found in one repository: an element for each of the
// image's manifests, in their order.
type Kept []Evidence

// Evidence is what is kept of signatures for one manifest in one repository.
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
	// Partial says, beside [Found], that not all there may be could be looked at: that nothing of what is here
	// suffices is no answer then.
	Partial bool
	// Unusable says, beside [None], that there is something, none of which can be read as a signature or a bundle, and
	// that another look would find the same.
	Unusable bool
	// Detail says why looking failed, or what is not here.
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

// State tells "looked and found none" from "looked and failed" and from "not looked yet".
type State uint8

// The zero State is that nothing is known.
const (
	Unknown State = iota
	Found
	None
	Failed
)

// KeptFunc returns what is kept for manifests of an image in the repository of a reference. It never waits; where
// nothing is kept it may start a fetch, and says [Unknown].
type KeptFunc func([]Manifest, reference.Named) Kept

// AskFunc asks for evidence again, because what is kept did not suffice and someone waits. It does not wait, and it
// is for the callee to bound how often the registry is asked.
type AskFunc func([]Manifest, reference.Named)
