package compile

import (
	"bytes"
	"encoding/json"
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
func (c *Compiler) strict(scope string, all, everywhere scopes) (list []json.RawMessage) {
	add := func(more []json.RawMessage) {
		for _, requirement := range more {
			if isAudited(requirement) {
				continue
			}
			if !slices.ContainsFunc(list, func(known json.RawMessage) bool { return bytes.Equal(known, requirement) }) {
				list = append(list, requirement)
			}
		}
	}
	known := c.system.transports[transport]
	for _, above := range policy.ScopesFrom(scope) {
		add(all[above])
		if _, ok := everywhere[above]; ok {
			return list
		}
		if system, ok := known[above]; ok {
			add(system)
			return list
		}
	}
	add(c.system.rest())
	return list
}

// withoutAccept drops the requirements that every image meets, unless there are no others.
func withoutAccept(list []json.RawMessage) []json.RawMessage {
	others := slices.DeleteFunc(slices.Clone(list), func(requirement json.RawMessage) bool {
		return demandOf([]json.RawMessage{requirement}).accepts
	})
	if len(others) == 0 {
		return list[:min(len(list), 1)]
	}
	return others
}
