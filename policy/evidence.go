package policy

import (
	"fmt"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// StoredEvidence is the evidence that this node stores for an image in one repository: one element for each of the
// image's manifests, in their order.
type StoredEvidence []Evidence

// Evidence is the stored evidence of one manifest in one repository.
type Evidence struct {
	Manifest digest.Digest
	// Generation changes whenever the bytes in the directory change, or any other field except Source and FetchedAt; a
	// number is never used twice. With zero, findings are not cached.
	Generation uint64
	State      State
	// Directory contains the signatures in the format of containers/image's dir: transport, and Sigstore bundles as
	// bundle-1.json, bundle-2.json, ….
	Directory string
	// Instance, if set, is the manifest of an index that was copied whole: its signatures are called <hex>.signature-N.
	Instance digest.Digest
	// Signatures, Bundles and Attestations are the numbers of files. Attestations are Sigstore bundles of their own:
	// attestation-1.json, attestation-2.json, ….
	Signatures, Bundles, Attestations int
	// Predicates are the predicate types of which attestations were looked for: see [Predicates].
	Predicates Predicates
	// Partial reports, with [Found], whether some signatures could not be read: if none of the others is sufficient, the
	// result is unknown.
	Partial bool
	// Unusable reports, with [None], whether files were found, none of which can be parsed as a signature or a bundle.
	// Another fetch would find the same.
	Unusable bool
	// Detail is why the fetch failed, or what is missing.
	Detail string
	// Lookaside tells which lookaside of simple signing was asked, or that none is configured; empty: that is not known.
	Lookaside string
	// Source is where the evidence was fetched from or that it was imported, and FetchedAt when the registry last had
	// something new; empty and zero if that is not known. Decisions do not depend on them.
	Source    string
	FetchedAt time.Time
	// Satisfied is the part of the evidence that met a requirement before. It is stored on its own, so that whatever is
	// put next to it changes nothing for the requirements that it meets.
	Satisfied SatisfiedEvidence
}

// SatisfiedEvidence are the files that met a requirement. Its fields are as in [Evidence].
type SatisfiedEvidence struct {
	Generation                        uint64
	Directory                         string
	Signatures, Bundles, Attestations int
}

// satisfied returns the part of the evidence that met a requirement before, if there is one.
func (e Evidence) satisfied() (part Evidence, ok bool) {
	return Evidence{
		Manifest: e.Manifest, State: Found, Generation: e.Satisfied.Generation,
		Directory: e.Satisfied.Directory, Signatures: e.Satisfied.Signatures, Bundles: e.Satisfied.Bundles,
		Attestations: e.Satisfied.Attestations, Predicates: e.Predicates,
		Source: e.Source, FetchedAt: e.FetchedAt,
	}, e.Satisfied.Directory != ""
}

// Judgeable reports whether there is something to judge, and if not, returns the finding; what is what is needed, a
// signature or a bundle.
func (e Evidence) Judgeable(manifest digest.Digest, what string) (finding Finding, ok bool) {
	switch e.State {
	case Found:
		return Finding{}, true
	case None:
		return e.Lacks(manifest, what), false
	case Failed:
		return Finding{Reason: Unavailable, Detail: "fetching signatures: " + e.Detail}, false
	default:
		return Finding{Reason: Pending, Detail: fmt.Sprintf("the signatures of %s are not known yet", manifest)}, false
	}
}

// Lacks returns the finding if no signature, or no bundle, was found.
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

// The zero State means that nothing is known.
const (
	Unknown State = iota
	Found
	None
	Failed
)

// LookupFunc returns the stored evidence of an image's manifests in the repository of a reference. It never waits; if
// nothing is stored it may start a fetch, and returns [Unknown].
type LookupFunc func([]Manifest, reference.Named) StoredEvidence

// RefetchFunc requests a new fetch, because the stored evidence is not sufficient and someone waits. It does not wait;
// the implementation limits how often it calls the registry.
type RefetchFunc func(Check)
