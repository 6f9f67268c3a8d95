package reconcile_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/reconcile"
)

// governed returns a node on which a policy of the cluster and two of namespaces are obeyed.
func governed(t *testing.T) *node {
	t.Helper()
	n := newNode(t)
	n.objects.Cluster = []v1alpha1.ClusterImagePolicy{cluster("c")}
	n.objects.Policies = []v1alpha1.ImagePolicy{policy("a", "one"), policy("a", "two"), policy("b", "three")}
	n.reconcile(t)
	n.want(t, everything())
	return n
}

func everything() map[string]string {
	return map[string]string{
		"cluster": "c.example", "a": "c.example one.example two.example", "b": "c.example three.example",
	}
}

// TestWhatIsAbsent removes objects from the agent's cache.
func TestWhatIsAbsent(t *testing.T) {
	tests := map[string]struct {
		change func(n *node)
		want   map[string]string
		held   bool
	}{
		"a policy that was deleted is not obeyed": {
			func(n *node) { n.objects.Policies = n.objects.Policies[1:] },
			map[string]string{"cluster": "c.example", "a": "c.example two.example", "b": "c.example three.example"},
			false,
		},
		"a document goes with its last policy": {
			func(n *node) { n.objects.Policies = n.objects.Policies[:2] },
			map[string]string{"cluster": "c.example", "a": "c.example one.example two.example"},
			false,
		},
		"a namespace that was deleted takes its document along": {
			func(n *node) {
				n.objects.Namespaces = n.objects.Namespaces[:2]
				n.objects.Policies = n.objects.Policies[:2]
			},
			map[string]string{"cluster": "c.example", "a": "c.example one.example two.example"},
			false,
		},
		"the policies of the cluster that were deleted are not obeyed": {
			func(n *node) { n.objects.Cluster = nil },
			map[string]string{"cluster": "", "a": "one.example two.example", "b": "three.example"},
			false,
		},
		"the last policy leaves a document that says what governs kube-system anyway": {
			func(n *node) { n.objects.Cluster, n.objects.Policies = nil, nil },
			map[string]string{"cluster": "", "kube-system": ""},
			false,
		},
		"an API server that does not answer confirms nothing": {
			func(n *node) { n.objects, n.down = reconcile.Objects{}, true }, everything(), true,
		},
		"a cache that has lost everything is not believed": {
			func(n *node) {
				for id := range n.outcome.Current {
					n.exist[id] = true
				}
				for _, namespace := range n.objects.Namespaces {
					n.exist[reconcile.ID{Kind: reconcile.NamespaceKind, Name: namespace.Name}] = true
				}
				n.objects = reconcile.Objects{}
			},
			everything(), true,
		},
		"a CRD that was deleted deletes no document": {
			func(n *node) {
				n.crds = map[reconcile.Kind]types.UID{reconcile.PolicyKind: "p1"}
				n.objects.Cluster = nil
			},
			everything(), true,
		},
		"a CRD that was deleted and created again deletes no document": {
			func(n *node) {
				n.crds = map[reconcile.Kind]types.UID{reconcile.ClusterKind: "c1", reconcile.PolicyKind: "p2"}
				n.objects.Policies = nil
			},
			everything(), true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, restarted := range []bool{false, true} {
				n := governed(t)
				if restarted {
					n.start(t)
				}
				test.change(n)
				n.reconcile(t)
				n.want(t, test.want)
				n.reconcile(t)
				n.want(t, test.want)
				held := false
				for _, problem := range n.outcome.Problems {
					held = held || problem.Reason == "Held"
				}
				if held != test.held {
					t.Errorf("restarted %v: something is held: %v, want %v: %+v", restarted, held, test.held, n.outcome.Problems)
				}
			}
		})
	}
}

// TestWhatIsHeldIsObeyedTogetherWithWhatIsNew: a policy that is held does not stop others.
func TestWhatIsHeldIsObeyedTogetherWithWhatIsNew(t *testing.T) {
	n := governed(t)
	n.down = true
	n.objects.Policies = nil
	n.objects.Cluster = append(n.objects.Cluster, cluster("new"))
	n.reconcile(t)
	n.want(t, map[string]string{
		"cluster": "c.example new.example", "a": "c.example new.example one.example two.example",
		"b": "c.example new.example three.example",
	})
	n.wantProblem(t, "a", "Held")
	n.down = false
	n.reconcile(t)
	n.want(t, map[string]string{"cluster": "c.example new.example", "kube-system": "c.example new.example"})
}

// TestAPolicyIsReleasedUnderANewCRD: it was created again under the new CRD, and then deleted.
func TestAPolicyIsReleasedUnderANewCRD(t *testing.T) {
	n := governed(t)
	n.crds = map[reconcile.Kind]types.UID{reconcile.ClusterKind: "c1", reconcile.PolicyKind: "p2"}
	n.objects.Policies = nil
	n.reconcile(t)
	n.want(t, everything())
	again := policy("a", "one")
	again.UID = "again"
	n.objects.Policies = []v1alpha1.ImagePolicy{again}
	n.reconcile(t)
	n.want(t, everything())
	n.objects.Policies = nil
	n.reconcile(t)
	n.want(t, map[string]string{"cluster": "c.example", "a": "c.example two.example", "b": "c.example three.example"})
}

// TestAPolicyThatNobodyKnowsFreezesItsDocument: an earlier process obeyed it, and what it said is lost.
func TestAPolicyThatNobodyKnowsFreezesItsDocument(t *testing.T) {
	n := governed(t)
	n.start(t)
	n.down = true
	n.objects.Policies = []v1alpha1.ImagePolicy{policy("a", "one"), policy("b", "three"), policy("b", "four")}
	n.reconcile(t)
	want := everything()
	want["b"] = "c.example three.example four.example"
	n.want(t, want)
	n.objects.Cluster = nil
	n.start(t)
	n.objects.Policies = nil
	n.reconcile(t)
	n.want(t, want)
	n.wantProblem(t, "", "Held")
}
