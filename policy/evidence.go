package policy

import (
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Kept is what this node keeps of signatures for an image, as found in one repository: an element for each of the
// image's manifests, in their order.
type Kept []Evidence

// Evidence is what is kept of signatures for one manifest in one repository.
type Evidence struct {
	Manifest digest.Digest
	// Generation changes whenever anything else here does, or the bytes in the directory; it is not used twice. What
	// is found under zero is not remembered.
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
}

// Note returns what the detail adds to a sentence that says what was found, or nothing.
func (e Evidence) Note() string {
	if e.Detail == "" {
		return ""
	}
	return " (" + e.Detail + ")"
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
