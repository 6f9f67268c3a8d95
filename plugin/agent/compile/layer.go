package compile

import (
	"maps"
	"slices"

	"github.com/countersign/countersign/policy"
)

// scopes are the requirements of each scope.
type scopes map[string][]*element

// add adds a requirement to a scope that does not have it.
func (s scopes) add(scope string, requirements ...*element) {
	for _, requirement := range requirements {
		if !contains(s[scope], requirement) {
			s[scope] = append(slices.Clip(s[scope]), requirement)
		}
	}
}

// layer are the requirements of the policies of a cluster, or of those of a namespace.
type layer struct {
	enforced scopes
	// audited are those of policies in audit mode.
	audited scopes
}

func newLayer() layer { return layer{enforced: scopes{}, audited: scopes{}} }

func (l layer) empty() bool { return len(l.enforced)+len(l.audited) == 0 }

// add adds a policy. One that accepts every image has no effect in audit mode.
func (l layer) add(policy compiled) {
	if policy.requirement.audited && policy.requirement.accepts {
		return
	}
	to := l.enforced
	if policy.requirement.audited {
		to = l.audited
	}
	for _, scope := range policy.scopes {
		to.add(scope, policy.requirement)
	}
}

// governing returns the requirements in audit mode of the policies that would govern a scope if they were enforced. A
// scope that is governed by others has none.
func (l layer) governing(scope string) []*element {
	if len(l.audited) == 0 {
		return nil
	}
	for _, governor := range policy.ScopesAbove(scope) {
		audited, isAudited := l.audited[governor]
		_, isEnforced := l.enforced[governor]
		if isAudited || isEnforced {
			return audited
		}
	}
	return nil
}

// merged returns the requirements of each scope of two layers. A scope with policies in audit mode only has no enforced
// requirement, so that whatever applies without it still applies. A policy of the cluster in audit mode also audits the
// scopes of the namespace that it would govern.
func (s system) merged(cluster, own layer) scopes {
	enforced := maps.Clone(cluster.enforced)
	maps.Copy(enforced, own.enforced)
	audited := maps.Clone(cluster.audited)
	for _, of := range []scopes{own.enforced, own.audited} {
		for scope := range of {
			if requirements := cluster.governing(scope); len(requirements) > 0 {
				audited[scope] = slices.Clone(requirements)
			}
		}
	}
	for scope, requirements := range own.audited {
		audited.add(scope, requirements...)
	}
	all := maps.Clone(enforced)
	for scope, requirements := range audited {
		all[scope] = slices.Clone(s.kept(scope, enforced))
		all.add(scope, requirements...)
	}
	return all
}

// kept returns the requirements that a scope keeps if some are added that are only audited: its own, or else what the
// system policy audits in the next less specific scope.
func (s system) kept(scope string, enforced scopes) []*element {
	for _, above := range policy.ScopesAbove(scope) {
		list, ok := enforced[above]
		if !ok {
			list, ok = s.scopes[above]
		}
		if ok && above == scope {
			return list
		}
		if ok {
			return auditedOf(list)
		}
	}
	return auditedOf(s.rest(s.scopes))
}
