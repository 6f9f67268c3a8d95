package report_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/compile"
	"github.com/countersign/countersign/plugin/agent/reconcile"
	"github.com/countersign/countersign/plugin/agent/report"
)

func id(namespace, name string) reconcile.ID {
	kind := reconcile.PolicyKind
	if namespace == "" {
		kind = reconcile.ClusterKind
	}
	return reconcile.ID{Kind: kind, Namespace: namespace, Name: name}
}

type generations = map[reconcile.ID]int64

// node returns the status of a node that obeys some of the policies.
func node(name string, current, obeyed generations) v1alpha1.NodePolicyStatus {
	return v1alpha1.NodePolicyStatus{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Status: report.Status(reconcile.Outcome{Current: current, Obeyed: obeyed}),
	}
}

func TestHowManyNodesObeyAPolicy(t *testing.T) {
	a, b := id("", "a"), id("team", "b")
	before, now := generations{a: 1}, generations{a: 1, b: 1}
	changed := generations{a: 2, b: 1}
	foreign := generations{id("", "never seen here"): 1}
	tests := map[string]struct {
		nodes []v1alpha1.NodePolicyStatus
		want  map[reconcile.ID]string
	}{
		"without nodes, none obeys": {nil, map[reconcile.ID]string{a: "0/0", b: "0/0"}},
		"nodes that have seen everything obey it": {
			[]v1alpha1.NodePolicyStatus{node("1", changed, changed), node("2", changed, changed)},
			map[reconcile.ID]string{a: "2/2", b: "2/2"},
		},
		"a node that has not seen the last change obeys the rest": {
			[]v1alpha1.NodePolicyStatus{node("1", changed, changed), node("2", now, now)},
			map[reconcile.ID]string{a: "1/2", b: "2/2"},
		},
		"a node that has seen the first set only obeys nothing of today": {
			[]v1alpha1.NodePolicyStatus{node("1", before, before)}, map[reconcile.ID]string{a: "0/1", b: "0/1"},
		},
		"a node obeys all but what it says": {
			[]v1alpha1.NodePolicyStatus{node("1", changed, generations{a: 2})}, map[reconcile.ID]string{a: "1/1", b: "0/1"},
		},
		"of a node with a set that nobody knows, nothing is known": {
			[]v1alpha1.NodePolicyStatus{node("1", foreign, foreign)}, map[reconcile.ID]string{a: "0/1", b: "0/1"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var history report.History
			for _, set := range []generations{before, now, changed, changed} {
				history.Observe(set)
			}
			got := map[reconcile.ID]string{}
			for id, nodes := range history.Count(test.nodes) {
				got[id] = nodes.Summary
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestANodeWithAnUnknownSetKeepsItsLastOne: agents see changes that come together in different sets.
func TestANodeWithAnUnknownSetKeepsItsLastOne(t *testing.T) {
	var history report.History
	a, b, c := id("", "a"), id("", "b"), id("", "c")
	history.Observe(generations{a: 1})
	history.Count([]v1alpha1.NodePolicyStatus{node("1", generations{a: 1}, generations{a: 1})})
	history.Observe(generations{a: 1, b: 1, c: 1})
	between := generations{a: 1, b: 1}
	counts := history.Count([]v1alpha1.NodePolicyStatus{node("1", between, between)})
	if counts[a].Summary != "1/1" || counts[c].Summary != "0/1" {
		t.Errorf("counts are %v", counts)
	}
}

func TestTheConditionReady(t *testing.T) {
	all, some := v1alpha1.PolicyNodes{Current: 2, Total: 2}, v1alpha1.PolicyNodes{Current: 1, Total: 2}
	problem := []compile.Problem{{Reason: compile.InvalidPolicy, Detail: "the key is none"}}
	tests := map[string]struct {
		nodes    v1alpha1.PolicyNodes
		problems []compile.Problem
		status   metav1.ConditionStatus
		reason   string
	}{
		"all nodes obey":                  {all, nil, metav1.ConditionTrue, "Obeyed"},
		"a node does not obey":            {some, nil, metav1.ConditionFalse, "NodesBehind"},
		"the policy is not what it seems": {some, problem, metav1.ConditionFalse, "InvalidPolicy"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status := report.PolicyStatus(v1alpha1.PolicyStatus{}, 3, test.nodes, test.problems)
			condition := status.Conditions[0]
			if condition.Status != test.status || condition.Reason != test.reason || condition.ObservedGeneration != 3 {
				t.Errorf("the condition is %+v", condition)
			}
			again := report.PolicyStatus(status, 3, test.nodes, test.problems)
			if diff := cmp.Diff(status, again); diff != "" {
				t.Errorf("the status changes although nothing has:\n%s", diff)
			}
		})
	}
}

func TestAStatusHasItsLimits(t *testing.T) {
	current := generations{}
	var problems []reconcile.Problem
	for i := range 200 {
		current[id("team", string(rune('a'+i%26))+string(rune('a'+i/26)))] = 1
		problems = append(problems, reconcile.Problem{Reason: "Held"})
	}
	status := report.Status(reconcile.Outcome{Current: current, Problems: problems})
	if len(status.Behind) != 64 || !status.Truncated || len(status.Problems) != 16 || status.ProblemCount != 200 {
		t.Errorf("the status has %d policies, truncated %v, and %d of %d problems",
			len(status.Behind), status.Truncated, len(status.Problems), status.ProblemCount)
	}
}
