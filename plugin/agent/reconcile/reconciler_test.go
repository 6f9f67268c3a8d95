package reconcile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/reconcile"
)

func TestAPolicyIsObeyedAndNothingElseIsWritten(t *testing.T) {
	n := governed(t)
	before := modified(t, n)
	n.objects.Policies[0].Generation = 2
	n.objects.Policies[0].Spec = reject("changed.example")
	n.reconcile(t)
	want := everything()
	want["a"] = "c.example changed.example two.example"
	n.want(t, want)
	after := modified(t, n)
	if before["a.json"] == after["a.json"] || before["b.json"] != after["b.json"] {
		t.Errorf("the files were %v and are %v: only a.json has changed", before, after)
	}
	if diff := cmp.Diff(n.outcome.Current, n.outcome.Obeyed); diff != "" {
		t.Errorf("policies that are there and policies that are obeyed:\n%s", diff)
	}
	asked := n.asked
	n.objects.Policies = append(n.objects.Policies, policy("b", "more"))
	for range 2 {
		n.reconcile(t)
	}
	if n.asked != asked {
		t.Errorf("the API server is asked although nothing is absent: each agent of a cluster would do that")
	}
}

// modified returns the inode of each document.
func modified(t *testing.T, n *node) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(n.Directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			t.Fatal(err)
		}
		found[entry.Name()] = info.ModTime().String()
	}
	return found
}

func TestASelectorDecidesWithTheLabelsOfTheNamespace(t *testing.T) {
	n := newNode(t)
	prod := map[string]string{"stage": "prod"}
	n.objects.Cluster = []v1alpha1.ClusterImagePolicy{selecting(cluster("c"), prod), cluster("d")}
	n.objects.Namespaces[1] = namespace("a", prod)
	n.reconcile(t)
	both, one := "c.example d.example", "d.example"
	n.want(t, map[string]string{"cluster": both, "b": one, "kube-system": one})
	n.objects.Namespaces[1], n.objects.Namespaces[2] = namespace("a", nil), namespace("b", prod)
	n.reconcile(t)
	n.want(t, map[string]string{"cluster": both, "a": one, "kube-system": one})
}

// TestANamespaceWhoseLabelsAreNotKnownIsGovernedByTheCluster: its policies are in the cache and it is not.
func TestANamespaceWhoseLabelsAreNotKnownIsGovernedByTheCluster(t *testing.T) {
	n := newNode(t)
	n.objects.Policies = []v1alpha1.ImagePolicy{policy("late", "one")}
	n.reconcile(t)
	n.want(t, nil)
	if len(n.outcome.Obeyed) > 0 {
		t.Errorf("obeyed are %v", n.outcome.Obeyed)
	}
	n.objects.Namespaces = append(n.objects.Namespaces, namespace("late", nil))
	n.reconcile(t)
	n.want(t, map[string]string{"late": "one.example"})
	if len(n.outcome.Obeyed) != 1 {
		t.Errorf("obeyed are %v", n.outcome.Obeyed)
	}
}

func TestADocumentOfAnAdministratorStays(t *testing.T) {
	n := newNode(t)
	if err := os.WriteFile(filepath.Join(n.Directory, "a.json"), []byte(`{"theirs": ".example"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	n.objects.Policies = []v1alpha1.ImagePolicy{policy("a", "one"), policy("b", "two")}
	for range 2 {
		n.reconcile(t)
		n.wantProblem(t, "a", "Conflict")
	}
	if len(n.outcome.Obeyed) != 1 || len(n.outcome.Current) != 2 {
		t.Errorf("obeyed are %v of %v", n.outcome.Obeyed, n.outcome.Current)
	}
	if err := os.Remove(filepath.Join(n.Directory, "a.json")); err != nil {
		t.Fatal(err)
	}
	n.reconcile(t)
	n.want(t, map[string]string{"a": "one.example", "b": "two.example"})
}

func TestADocumentThatSomebodyRemovesIsWrittenAgain(t *testing.T) {
	n := governed(t)
	for _, path := range []string{filepath.Join(n.Directory, "a.json"), n.Cluster} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	n.reconcile(t)
	n.want(t, everything())
}

// TestThePlaceholderOfKubeSystemGoes, because it would outlive what it repeats.
func TestThePlaceholderOfKubeSystemGoes(t *testing.T) {
	n := governed(t)
	n.objects.Cluster, n.objects.Policies = nil, nil
	n.reconcile(t)
	n.want(t, map[string]string{"cluster": "", "kube-system": ""})
	n.objects.Policies = []v1alpha1.ImagePolicy{policy("a", "one")}
	n.reconcile(t)
	n.want(t, map[string]string{"cluster": "", "a": "one.example"})
}

func TestASystemPolicyThatCannotBeReadChangesNothing(t *testing.T) {
	n := governed(t)
	n.system = "{"
	n.objects.Policies = append(n.objects.Policies, policy("b", "more"))
	outcome, err := n.reconciler.Reconcile(t.Context(), n.objects)
	if err == nil {
		t.Error("there is no error")
	}
	n.outcome = outcome
	n.want(t, everything())
	n.wantProblem(t, "", "InvalidSystemPolicy")
	n.system = `{"default":[{"type":"reject"}]}`
	n.reconcile(t)
	raw, err := os.ReadFile(n.Cluster)
	if err != nil || !strings.Contains(string(raw), `"reject"`) {
		t.Errorf("the cluster's document is %s, %v", raw, err)
	}
}

// refusesReject is a daemon on whose node kube-system runs an image of c.example.
func refusesReject(_ context.Context, documents map[string][]byte) (map[string][]string, error) {
	refused := map[string][]string{}
	for name, document := range documents {
		if strings.Contains(string(document), "c.example") {
			refused[name] = []string{"pod etcd"}
		}
	}
	return refused, nil
}

func TestAPolicyThatLocksTheClusterOut(t *testing.T) {
	n := newNode(t)
	n.preview = refusesReject
	n.objects.Cluster = []v1alpha1.ClusterImagePolicy{cluster("c")}
	n.reconcile(t)
	n.want(t, map[string]string{"cluster": "c.example", "kube-system": ""})
	n.wantProblem(t, "kube-system", reconcile.SelfLockout)
	if len(n.outcome.Obeyed) != 0 {
		t.Errorf("obeyed are %v, although kube-system does not obey", n.outcome.Obeyed)
	}
	n.start(t)
	n.reconcile(t)
	n.want(t, map[string]string{"cluster": "c.example", "kube-system": ""})
	n.preview = nil
	n.reconcile(t)
	n.want(t, map[string]string{"cluster": "c.example", "kube-system": "c.example"})
	if len(n.outcome.Obeyed) != 1 {
		t.Errorf("obeyed are %v", n.outcome.Obeyed)
	}
}

// TestADaemonThatDoesNotAnswerDoesNotDelayPolicies: its node starts no container before it answers.
func TestADaemonThatDoesNotAnswerDoesNotDelayPolicies(t *testing.T) {
	n := newNode(t)
	n.preview = func(context.Context, map[string][]byte) (map[string][]string, error) {
		return nil, errors.New("no daemon listens")
	}
	n.objects.Cluster = []v1alpha1.ClusterImagePolicy{cluster("c")}
	n.reconcile(t)
	n.want(t, map[string]string{"cluster": "c.example"})
	n.wantProblem(t, "", "NotPreviewed")
}
