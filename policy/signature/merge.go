package signature

import (
	"slices"

	"github.com/countersign/countersign/policy"
)

// merge are two lists of requirements that are made one, by their first elements and lengths.
type merge struct {
	audited, enforced       **policy.Requirement
	auditedLen, enforcedLen int
}

// merge returns a list of which no requirement is enforced, followed by the requirements of another one that are.
// Documents whose lists are the same get the same.
func (p *Parser) merge(audited, enforced []*policy.Requirement) []*policy.Requirement {
	key := merge{&audited[0], &enforced[0], len(audited), len(enforced)}
	if known, ok := p.merged.Get(key); ok {
		return known
	}
	isAudited := func(requirement *policy.Requirement) bool { return requirement.Audit }
	made := slices.Concat(audited, slices.DeleteFunc(slices.Clone(enforced), isAudited))
	if first, ok, _ := p.merged.PeekOrAdd(key, made); ok {
		return first
	}
	return made
}
