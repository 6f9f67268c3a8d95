package compile

import (
	"slices"

	"github.com/countersign/countersign/policy"
)

// strictest returns the requirements of each scope for a namespace whose labels are not known. Policies that select
// namespaces may apply there or not, so an image has to meet both: what such a policy requires, and what applies
// without it. Requirements that are only audited are not among them.
func (c *Compiler) strictest() scopes {
	all := c.clusterLayer(c.cluster).enforced
	everywhere := c.clusterLayer(slices.DeleteFunc(slices.Clone(c.cluster), func(p clusterPolicy) bool {
		return p.selects
	})).enforced
	strict := scopes{}
	for scope := range all {
		strict[scope] = withoutAccept(c.strict(scope, all, everywhere))
	}
	return strict
}

// strict returns the requirements of a scope, and of those above it up to the first that applies in every namespace.
func (c *Compiler) strict(scope string, all, everywhere scopes) (list []*element) {
	add := func(more []*element) {
		for _, requirement := range more {
			if !requirement.audited && !contains(list, requirement) {
				list = append(list, requirement)
			}
		}
	}
	for _, above := range policy.ScopesAbove(scope) {
		add(all[above])
		if _, ok := everywhere[above]; ok {
			return list
		}
		if system, ok := c.system.enforced[above]; ok {
			add(system)
			return list
		}
	}
	add(c.system.rest(c.system.enforced))
	return list
}

// withoutAccept drops the requirements that every image meets, unless there are no others.
func withoutAccept(list []*element) []*element {
	others := slices.DeleteFunc(slices.Clone(list), func(requirement *element) bool { return requirement.accepts })
	if len(others) == 0 {
		return list[:min(len(list), 1)]
	}
	return others
}
