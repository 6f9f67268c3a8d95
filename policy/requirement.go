package policy

import (
	"context"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Requirement is one element of a list of policy requirements (containers-policy.json(5), "POLICY REQUIREMENTS"), with
// the contents of every key file instead of its path.
type Requirement struct {
	// ID is the hash of Kind, JSON, Problem and Audit: equal requirements of different documents have equal IDs. A
	// requirement without an ID is never met.
	ID digest.Digest
	// Kind is the requirement's "type".
	Kind Kind
	// JSON is the policy requirement, with the keys instead of their paths. It is empty if Problem is set.
	JSON []byte
	// NeedsEvidence reports whether signatures decide whether it is met.
	NeedsEvidence bool
	// PredicateType is the type of the attestations that can meet a requirement of kind [Attested].
	PredicateType string
	// KeyFiles are the paths of its key files, for the detail of a denial. They are not part of the ID.
	KeyFiles []string
	// Extensions are its fields that only countersign knows, such as fulcio.subjectURI: other tools refuse its document.
	Extensions []string
	// Audit says that the requirement is evaluated and reported, and refuses nothing.
	Audit bool
	// Problem is why no signature can meet the requirement, such as a key file that cannot be read. It is empty if there
	// is none. Other scopes of the document are not affected.
	Problem string
}

// withKeyFiles adds the paths of the key files to the detail of a finding. Findings do not contain them, because all
// requirements with the same keys share them, whatever files the keys were read from.
func (r *Requirement) withKeyFiles(detail string) string {
	if !r.needsEvidence() || len(r.KeyFiles) == 0 || detail == "" {
		return detail
	}
	return detail + " (the requirement's keys are in " + strings.Join(r.KeyFiles, ", ") + ")"
}

// needsEvidence reports whether the requirement cannot be evaluated without signatures.
func (r *Requirement) needsEvidence() bool { return r.NeedsEvidence && r.Problem == "" }

// JudgeRequest asks whether one manifest of an image meets one requirement.
type JudgeRequest struct {
	Requirement *Requirement
	// Reference is the normalised reference under which the image is judged.
	Reference reference.Named
	Manifest  Manifest
	// Evidence is the stored evidence of the manifest. It is zero for a requirement that needs none.
	Evidence Evidence
}

// JudgeFunc decides about one request.
type JudgeFunc func(context.Context, JudgeRequest) Finding
