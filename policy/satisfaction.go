package policy

import (
	"context"

	"github.com/distribution/reference"
)

// Satisfaction reports that stored evidence met a requirement of a loaded document. Whoever stores evidence uses it to
// keep what others cannot take away any more.
type Satisfaction struct {
	// Reference is the one under which the image was judged, and Evidence what was stored in its repository.
	Reference reference.Named
	Evidence  Evidence

	evaluation  *evaluation
	requirement *Requirement
	manifest    Manifest
}

// SatisfiedFunc receives satisfactions. It is called in a decision, so that it must neither wait nor read or write
// files.
type SatisfiedFunc func(Satisfaction)

// Requirement identifies the requirement that was met.
func (s Satisfaction) Requirement() string { return string(s.requirement.ID) }

// MetBy reports whether other evidence of the same manifest meets the requirement as well, such as a single file of the
// evidence that did. It judges anew and caches nothing, and is for the background.
func (s Satisfaction) MetBy(ctx context.Context, evidence Evidence) bool {
	if finding := evidence.notUsableFor(s.manifest); finding.Reason != "" {
		return false
	}
	found := s.evaluation.askJudges(ctx, s.requirement, s.manifest, evidence)
	return s.evaluation.accepts(found.Finding)
}

// accepts reports whether a finding meets a requirement: a signature that names no repository is enough where the
// operator has decided so.
func (e *evaluation) accepts(finding Finding) bool {
	return finding.Met || finding.NoIdentity && e.noIdentity
}

// satisfied reports that evidence met a requirement.
func (e *evaluation) satisfied(requirement *Requirement, manifest Manifest, evidence Evidence) {
	if e.sources.Satisfied == nil {
		return
	}
	e.sources.Satisfied(Satisfaction{
		Reference: e.reference, Evidence: evidence,
		evaluation:  &evaluation{Decider: e.Decider, reference: e.reference, noIdentity: e.noIdentity},
		requirement: requirement, manifest: manifest,
	})
}
