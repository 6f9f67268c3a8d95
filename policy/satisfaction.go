package policy

import (
	"context"
	"slices"

	"github.com/distribution/reference"
)

// Check judges evidence by one requirement of a loaded document, outside of a decision. The zero Check accepts nothing.
type Check struct {
	// Manifests are those of an image, and Reference is the one under which it is judged.
	Manifests []Manifest
	Reference reference.Named

	evaluation  *evaluation
	requirement *Requirement
}

func (e *evaluation) check(requirement *Requirement, manifests ...Manifest) Check {
	return Check{
		Manifests: manifests, Reference: e.reference, requirement: requirement,
		evaluation: &evaluation{
			Decider: e.Decider, reference: e.reference, name: e.name, noIdentity: e.noIdentity,
		},
	}
}

// Requirement identifies the requirement.
func (c Check) Requirement() string {
	if c.requirement == nil {
		return ""
	}
	return string(c.requirement.ID)
}

// MetBy reports whether evidence of one of the manifests meets the requirement. It evaluates without the cache, and is
// called in the background.
func (c Check) MetBy(ctx context.Context, evidence Evidence) bool {
	i := slices.IndexFunc(c.Manifests, func(m Manifest) bool { return m.Digest == evidence.Manifest })
	if i < 0 || c.requirement == nil || evidence.notUsableFor(c.Manifests[i]).Reason != "" {
		return false
	}
	found := c.evaluation.askJudges(ctx, c.requirement, c.Manifests[i], evidence)
	return c.evaluation.accepts(found.Finding)
}

// Satisfaction reports that stored evidence met a requirement. Whoever stores evidence uses it to protect the file that
// did.
type Satisfaction struct {
	Check
	Evidence Evidence
}

// SatisfiedFunc receives satisfactions. It is called in a decision, so that it must neither wait nor read or write
// files.
type SatisfiedFunc func(Satisfaction)

// accepts reports whether a finding meets a requirement: a signature that names no repository is enough if the operator
// has decided so.
func (e *evaluation) accepts(finding Finding) bool {
	return finding.Met || finding.NoIdentity && e.noIdentity
}

// satisfied reports that evidence met a requirement.
func (e *evaluation) satisfied(requirement *Requirement, manifest Manifest, evidence Evidence) {
	if e.sources.Satisfied != nil {
		e.sources.Satisfied(Satisfaction{Check: e.check(requirement, manifest), Evidence: evidence})
	}
}
