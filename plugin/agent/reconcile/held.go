package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

func compareIDs(a, b ID) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// held are the policies that are obeyed, and those of them that are not in the cache and not confirmed to be deleted.
type held struct {
	policies map[ID]obeyed
	// absent are held policies and namespaces, each with the reason.
	absent map[ID]string
	// crds are those that the API server has last confirmed.
	crds map[Kind]types.UID
}

// update replaces the held policies by those of a cache. A policy that is not in the cache is held until the API server
// confirms that it is deleted.
func (h *held) update(ctx context.Context, present map[ID]obeyed, namespaces []ID, confirm Confirm) {
	absent := slices.Concat(namespaces, h.missing(present))
	h.absent = map[ID]string{}
	var confirmed Confirmation
	// A CRD that is created again has no policies at first, so the first policy of a kind is the time to look for it.
	if len(absent) > 0 || len(h.crds) == 0 || h.firstOfKind(present) {
		var err error
		if confirmed, err = confirm(ctx, absent); err != nil {
			h.absent = reasons(absent, fmt.Sprintf("the API server does not confirm that it is deleted: %v", err))
			confirmed = Confirmation{}
		} else {
			h.crds = confirmed.CRDs
		}
	}
	next := make(map[ID]obeyed, len(present))
	for id, policy := range present {
		policy.crd = cmp.Or(h.crds[id.Kind], h.policies[id].crd)
		next[id] = policy
	}
	for _, id := range absent {
		reason := h.why(id, confirmed)
		if reason == "" {
			continue
		}
		h.absent[id] = cmp.Or(h.absent[id], reason)
		if known, ok := h.policies[id]; ok {
			next[id] = known
		}
	}
	h.policies = next
}

// missing returns the policies that are obeyed and not in a cache.
func (h *held) missing(present map[ID]obeyed) (absent []ID) {
	for id := range h.policies {
		if _, ok := present[id]; !ok {
			absent = append(absent, id)
		}
	}
	return absent
}

// firstOfKind reports whether there is a policy of a kind of which there was none.
func (h *held) firstOfKind(present map[ID]obeyed) bool {
	known := map[Kind]bool{}
	for id := range h.policies {
		known[id.Kind] = true
	}
	for id := range present {
		if !known[id.Kind] {
			return true
		}
	}
	return false
}

// why returns why an object that is absent is held, or "" if it is deleted.
func (h *held) why(id ID, confirmed Confirmation) string {
	if !confirmed.Gone[id] {
		return "the API server has it, and the agent's cache does not"
	}
	if id.Kind == NamespaceKind {
		return ""
	}
	established, known := confirmed.CRDs[id.Kind], h.policies[id]
	switch {
	case established == "":
		return "the CRD is deleted"
	case known.crd != "" && known.crd != established:
		return "the CRD was deleted and created again; create the policy again, and delete it if it is not needed"
	default:
		return ""
	}
}

func reasons(absent []ID, reason string) map[ID]string {
	all := map[ID]string{}
	for _, id := range absent {
		all[id] = reason
	}
	return all
}

// origin returns what is stored next to a document: the names of policies, with their CRDs.
func (h *held) origin(policies []ID) []string {
	all := make([]string, 0, len(policies))
	for _, id := range policies {
		all = append(all, strings.TrimSpace(id.Name+" "+string(h.policies[id].crd)))
	}
	slices.Sort(all)
	return all
}

// restore takes what was stored next to the documents of an earlier process.
func (h *held) restore(origins map[string][]string) {
	h.policies, h.absent = map[ID]obeyed{}, map[ID]string{}
	for namespace, all := range origins {
		kind := PolicyKind
		if namespace == everywhere {
			kind = ClusterKind
		}
		for _, origin := range all {
			name, crd, _ := strings.Cut(origin, " ")
			h.policies[ID{kind, namespace, name}] = obeyed{crd: types.UID(crd)}
		}
	}
}

// unknown returns the namespaces with held policies whose content is not known.
func (h *held) unknown() map[string]bool {
	found := map[string]bool{}
	for id := range maps.Keys(h.absent) {
		if policy, ok := h.policies[id]; ok && policy.unknown() {
			found[id.Namespace] = true
		}
	}
	return found
}
