package daemon

import (
	"time"

	"github.com/countersign/countersign/plugin/internal/claim"
	"github.com/countersign/countersign/policy"
)

// ExplainRequest asks for the explanation of a decision: about containers, or about an image in a namespace.
type ExplainRequest struct {
	Subject
	// Reference is the image as a pod's author would write it, and Config its config digest. They are set if the
	// question is about an image, or if decisions about the subject were found elsewhere.
	Reference string `json:"reference,omitempty"`
	Config    string `json:"config,omitempty"`
	// Absent is why the image has no config digest.
	Absent string `json:"absent,omitempty"`
}

// Limits of the lists in an explanation.
const (
	maxShownDecisions = 10
	maxShownImages    = 8
	maxShownManifests = 16
	maxShownNames     = 16
	maxShownFiles     = 16
	maxShownTries     = 32
)

// Explanation is the daemon's verdict about an image in a namespace, and how it comes about. Its JSON is the public
// interface of the command explain, to which fields are only added.
type Explanation struct {
	Outcome
	Mode      string `json:"mode"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod,omitempty"`
	Container string `json:"container,omitempty"`
	Reference string `json:"reference"`
	Basis
	// FoundBy is how the images of this node's containers are identified.
	FoundBy policy.FoundBy `json:"found_by"`
	// Decisions are the last decisions about the subject, the newest first, and Source says where they are from.
	Decisions []PastDecision `json:"decisions"`
	Source    string         `json:"decisions_from,omitempty"`
	// RootFS is the comparison of the container's root filesystem with the image.
	RootFS *RootFS `json:"rootfs,omitempty"`
	// Images are the images that the container can run: one, unless images are identified by their layers.
	Images []ExplainedImage `json:"images"`
	// Advice is what would make the image pass. Signers are who made the signatures that are accepted.
	Advice      string   `json:"advice"`
	Signers     []string `json:"signers,omitempty"`
	TookSeconds float64  `json:"took_seconds"`
}

// RootFS is whether a container's root filesystem has the layers of its image.
type RootFS struct {
	ContainerID string `json:"container_id"`
	// Result is "yes", "no" or "unknown".
	Result string `json:"result"`
	Detail string `json:"detail"`
}

// ExplainedImage is an image, and its evaluation.
type ExplainedImage struct {
	Outcome
	Config string `json:"config"`
	// Problem is why the image was not found.
	Problem     string              `json:"problem,omitempty"`
	TookSeconds float64             `json:"took_seconds"`
	Manifests   []ExplainedManifest `json:"manifests"`
	// Obtained are the references under which the image was pulled or imported.
	Obtained []string `json:"obtained_as"`
	// More counts what the lists above leave out.
	More int `json:"more,omitempty"`
	// Scopes are the evaluations, one for each reference that was evaluated.
	Scopes []ExplainedScope `json:"scopes"`
	// Notes are why the evaluation ended before a requirement was evaluated, or after all of them were.
	Notes []Note `json:"notes"`
}

// ExplainedManifest is a manifest with the image's config, or an index that lists one.
type ExplainedManifest struct {
	Digest       string   `json:"digest"`
	MediaType    string   `json:"media_type"`
	Repositories []string `json:"repositories"`
}

// ExplainedScope is the scope of a document that applies to a reference, and the evaluation of its requirements.
type ExplainedScope struct {
	Reference    string                 `json:"reference"`
	Document     string                 `json:"document"`
	Scope        string                 `json:"scope"`
	IsDefault    bool                   `json:"default"`
	Enforced     *EnforcedScope         `json:"enforced,omitempty"`
	PassedOver   []string               `json:"passed_over"`
	Missed       string                 `json:"missed,omitempty"`
	Requirements []ExplainedRequirement `json:"requirements"`
}

// EnforcedScope is where the enforced requirements come from if the scope that applies enforces nothing.
type EnforcedScope struct {
	Scope     string `json:"scope"`
	IsDefault bool   `json:"default"`
}

// ExplainedRequirement is a requirement, and what was tried to meet it.
type ExplainedRequirement struct {
	Type     policy.Kind `json:"type"`
	Requires string      `json:"requires"`
	KeyFiles []string    `json:"key_files,omitempty"`
	// Audited reports whether it is only reported if it is not met.
	Audited bool `json:"audited,omitempty"`
	// Result is "met", "not met" or "not evaluated".
	Result string `json:"result"`
	Tried  []Try  `json:"tried"`
}

// Try is the evaluation of one requirement with the evidence of one manifest.
type Try struct {
	Manifest string `json:"manifest"`
	// Evidence is "found", "none", "failed" or "unknown"; empty: the requirement needs none.
	Evidence string `json:"evidence"`
	// Source is where the evidence was fetched from, and FetchedAt when the registry last had something new.
	Source    string    `json:"source,omitempty"`
	FetchedAt time.Time `json:"fetched_at,omitzero"`
	// Files are what the stored files claim. Only an accepting judgement verifies it.
	Files      []claim.Claim `json:"files"`
	MoreFiles  int           `json:"more_files,omitempty"`
	Judgements []Judgement   `json:"judgements"`
}

// Judgement is the finding of one judge, or why none was called.
type Judgement struct {
	Judge       string  `json:"judge"`
	Met         bool    `json:"met"`
	Reason      string  `json:"reason"`
	Detail      string  `json:"detail"`
	Cached      bool    `json:"cached"`
	TookSeconds float64 `json:"took_seconds"`
}

// Note is a reason that is not about one requirement.
type Note struct {
	Reference string `json:"reference"`
	Reason    string `json:"reason"`
	Detail    string `json:"detail"`
}
