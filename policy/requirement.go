package policy

import (
	"context"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Requirement is one element of a list of policy requirements (containers-policy.json(5), "POLICY REQUIREMENTS"),
// with the contents of every key file it names in place of the path.
type Requirement struct {
	// ID is the hash of all that follows: equal requirements have equal IDs, in whatever document they stand. One
	// without an ID is never met.
	ID digest.Digest
	// Kind is the requirement's "type".
	Kind Kind
	// JSON is the policy requirement, with the keys themselves in place of their paths. It is empty where Problem is
	// not.
	JSON []byte
	// NeedsEvidence reports whether signatures decide whether it is met.
	NeedsEvidence bool
	// KeyFiles are the paths of the key files it names, for whoever reads a denial. They are not part of the ID.
	KeyFiles []string
	// Problem is why no signature can meet the requirement, such as a key file that cannot be read. It is empty when
	// there is none. Other scopes of the document are not affected.
	Problem string
}

// withKeyFiles adds the key files to a detail about signatures that the requirement does not accept. A finding cannot
// name them: it is shared by all requirements of the same content, whatever files that was read from.
func (r *Requirement) withKeyFiles(detail string) string {
	if !r.needsEvidence() || len(r.KeyFiles) == 0 || detail == "" {
		return detail
	}
	return detail + " (the requirement's keys are those of " + strings.Join(r.KeyFiles, ", ") + ")"
}

// needsEvidence reports whether signatures have to be looked at to say whether the requirement is met.
func (r *Requirement) needsEvidence() bool { return r.NeedsEvidence && r.Problem == "" }

// JudgeFunc finds whether one requirement is met by one manifest and the stored evidence of that manifest, when the
// image has that reference. For a requirement that needs no evidence the evidence is
// zero.
type JudgeFunc func(context.Context, *Requirement, reference.Named, Manifest, Evidence) Finding
