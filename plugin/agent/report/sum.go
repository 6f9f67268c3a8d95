package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/compile"
	"github.com/countersign/countersign/plugin/agent/reconcile"
	"github.com/countersign/countersign/policy/text"
)

// Ready is the type of the condition of policies.
const Ready = "Ready"

func nodeKind() schema.GroupVersionKind { return schema.GroupVersionKind{Version: "v1", Kind: "Node"} }

func compareNames(a, b string) int { return strings.Compare(a, b) }

// remembered is how many earlier sets of policies are known.
const remembered = 256

// History derives from the hash in a node's status which policies the node obeys. It numbers the sets of policies that
// this agent has seen, and records for each policy the first set that contains its current generation. Its zero value
// is usable.
type History struct {
	last    int
	numbers map[string]int
	since   map[reconcile.ID]since
	// nodes are the numbers of the last known set of each node.
	nodes map[string]int
}

type since struct {
	generation int64
	number     int
}

// Observe records the current policies of the cluster, with their generations.
func (h *History) Observe(policies map[reconcile.ID]int64) {
	if h.numbers == nil {
		h.numbers, h.since, h.nodes = map[string]int{}, map[reconcile.ID]since{}, map[string]int{}
	}
	hash := reconcile.Hash(policies)
	if number, ok := h.numbers[hash]; ok && number == h.last {
		return
	}
	h.last++
	h.numbers[hash] = h.last
	for id, generation := range policies {
		if known, ok := h.since[id]; !ok || known.generation != generation {
			h.since[id] = since{generation, h.last}
		}
	}
	maps.DeleteFunc(h.since, func(id reconcile.ID, _ since) bool { _, ok := policies[id]; return !ok })
	maps.DeleteFunc(h.numbers, func(_ string, number int) bool { return number <= h.last-remembered })
}

// Count returns how many of the nodes obey each policy as it is now. Its time grows with the sum of nodes and policies,
// not with their product.
func (h *History) Count(nodes []v1alpha1.NodePolicyStatus) map[reconcile.ID]v1alpha1.PolicyNodes {
	// reached are the numbers of the sets that nodes obey, without the policies that they lack.
	reached := make([]int, 0, len(nodes))
	lacks := map[reconcile.ID]int{}
	seen := map[string]bool{}
	for _, node := range nodes {
		seen[node.Name] = true
		number := h.number(node)
		if node.Status.Truncated {
			continue
		}
		reached = append(reached, number)
		behind := map[reconcile.ID]bool{}
		for _, policy := range node.Status.Behind {
			id := idOf(policy)
			if known, ok := h.since[id]; ok && known.number <= number && !behind[id] {
				lacks[id]++
			}
			behind[id] = true
		}
	}
	maps.DeleteFunc(h.nodes, func(name string, _ int) bool { return !seen[name] })
	slices.Sort(reached)
	all := make(map[reconcile.ID]v1alpha1.PolicyNodes, len(h.since))
	total := int32(len(nodes)) //nolint:gosec // It is a number of nodes.
	for id, policy := range h.since {
		older, _ := slices.BinarySearch(reached, policy.number)
		current := int32(len(reached) - older - lacks[id]) //nolint:gosec // As above.
		all[id] = v1alpha1.PolicyNodes{
			Current: current, Total: total, Summary: fmt.Sprintf("%d/%d", current, total),
		}
	}
	return all
}

// number returns the number of the set that a node obeys, but for the policies that its status lists.
func (h *History) number(node v1alpha1.NodePolicyStatus) int {
	number, known := h.numbers[node.Status.Policies]
	switch {
	case known:
		h.nodes[node.Name] = number
		return number
	case len(node.Status.Behind) > 0:
		return h.last // It obeys what is not listed.
	default:
		return h.nodes[node.Name]
	}
}

func idOf(policy v1alpha1.PolicyGeneration) reconcile.ID {
	if policy.Namespace == "" {
		return reconcile.ID{Kind: reconcile.ClusterKind, Name: policy.Name}
	}
	return reconcile.ID{Kind: reconcile.PolicyKind, Namespace: policy.Namespace, Name: policy.Name}
}

// maxCondition limits the message of a condition.
const maxCondition = 2000

// PolicyStatus returns the status of a policy, which has a status already.
func PolicyStatus(
	known v1alpha1.PolicyStatus, generation int64, nodes v1alpha1.PolicyNodes, problems []compile.Problem,
) v1alpha1.PolicyStatus {
	condition := metav1.Condition{
		Type: Ready, Status: metav1.ConditionTrue, Reason: "Obeyed", ObservedGeneration: generation,
		Message: "all nodes obey the policy as it is written",
	}
	switch {
	case len(problems) > 0:
		condition.Status, condition.Reason = metav1.ConditionFalse, string(problems[0].Reason)
		var details []string
		for _, problem := range problems {
			details = append(details, problem.Detail)
		}
		condition.Message = text.Shorten(strings.Join(details, "; "), maxCondition)
	case nodes.Current < nodes.Total:
		condition.Status, condition.Reason = metav1.ConditionFalse, "NodesBehind"
		condition.Message = "not all nodes obey the policy as it is written; the NodePolicyStatus of a node says why"
	}
	next := v1alpha1.PolicyStatus{Conditions: slices.Clone(known.Conditions), Nodes: &nodes}
	meta.SetStatusCondition(&next.Conditions, condition)
	return next
}
