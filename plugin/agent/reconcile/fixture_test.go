package reconcile_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/compile"
	"github.com/countersign/countersign/plugin/agent/reconcile"
	"github.com/countersign/countersign/plugin/agent/write"
)

const acceptAll = `{"default":[{"type":"insecureAcceptAnything"}]}`

// node is a node with an agent, and what the API server says when the agent asks it.
type node struct {
	write.Target
	reconciler *reconcile.Reconciler
	objects    reconcile.Objects
	// exist are objects that exist although the cache does not have them.
	exist map[reconcile.ID]bool
	crds  map[reconcile.Kind]types.UID
	// down: the API server does not answer.
	down bool
	// asked is how often it was asked.
	asked   int
	system  string
	preview reconcile.Preview
	outcome reconcile.Outcome
}

func newNode(t testing.TB) *node {
	t.Helper()
	directory := t.TempDir()
	n := &node{
		Target: write.Target{
			Directory: filepath.Join(directory, "policies"), Cluster: filepath.Join(directory, "cluster.json"),
			State: filepath.Join(directory, "state"),
		},
		system: acceptAll, exist: map[reconcile.ID]bool{},
		crds: map[reconcile.Kind]types.UID{reconcile.ClusterKind: "c1", reconcile.PolicyKind: "p1"},
	}
	n.start(t)
	n.objects.Namespaces = []reconcile.Namespace{namespace("kube-system", nil), namespace("a", nil), namespace("b", nil)}
	return n
}

// start starts another process of the agent.
func (n *node) start(t testing.TB) {
	t.Helper()
	writer, err := write.Open(n.Target)
	if err != nil {
		t.Fatal(err)
	}
	n.reconciler = reconcile.New(reconcile.Config{
		Writer: writer, Confirm: n.confirm, Protected: []string{"kube-system"},
		SystemPolicy: func() ([]byte, error) { return []byte(n.system), nil },
		Preview: func(ctx context.Context, documents map[string][]byte) (map[string][]string, error) {
			if n.preview == nil {
				return nil, nil
			}
			return n.preview(ctx, documents)
		},
	})
}

func (n *node) confirm(_ context.Context, absent []reconcile.ID) (reconcile.Confirmation, error) {
	n.asked++
	if n.down {
		return reconcile.Confirmation{}, errors.New("connection refused")
	}
	c := reconcile.Confirmation{Gone: map[reconcile.ID]bool{}, CRDs: n.crds}
	for _, id := range absent {
		c.Gone[id] = !n.exist[id]
	}
	return c, nil
}

func (n *node) reconcile(t testing.TB) {
	t.Helper()
	var err error
	if n.outcome, err = n.reconciler.Reconcile(t.Context(), n.objects); err != nil {
		t.Fatal(err)
	}
}

// want compares the documents on disk with scopes by namespace; "cluster" stands for the cluster's document.
func (n *node) want(t *testing.T, want map[string]string) {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(n.Directory, "*.json"))
	if _, err := os.Stat(n.Cluster); err == nil {
		paths = append(paths, n.Cluster)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		scopes, ok := want[name]
		if !ok {
			t.Errorf("there is a document for %s:\n%s", name, raw)
		}
		for scope := range strings.FieldsSeq(scopes) {
			if !strings.Contains(string(raw), `"`+scope+`"`) {
				t.Errorf("the document for %s lacks %s:\n%s", name, scope, raw)
			}
		}
		if got := strings.Count(string(raw), ".example"); got != len(strings.Fields(scopes)) {
			t.Errorf("the document for %s has %d scopes, want %s:\n%s", name, got, scopes, raw)
		}
	}
	if len(paths) != len(want) {
		t.Errorf("there are %d documents, want %d: %q", len(paths), len(want), paths)
	}
}

// wantProblem looks for a problem of the last pass.
func (n *node) wantProblem(t *testing.T, namespace, reason string) {
	t.Helper()
	for _, problem := range n.outcome.Problems {
		if problem.Namespace == namespace && problem.Reason == reason {
			return
		}
	}
	t.Errorf("problems are %+v, want %s in %q", n.outcome.Problems, reason, namespace)
}

func namespace(name string, labels map[string]string) reconcile.Namespace {
	return reconcile.Namespace{Namespace: compile.Namespace{Name: name, Labels: labels}, UID: types.UID("uid-" + name)}
}

func reject(scope string) v1alpha1.ImagePolicySpec {
	return v1alpha1.ImagePolicySpec{
		Scopes: []v1alpha1.ImageScope{v1alpha1.ImageScope(scope)},
		Policy: v1alpha1.Policy{RootOfTrust: v1alpha1.RootOfTrust{PolicyType: v1alpha1.RejectType}},
	}
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name), Generation: 1}
}

// policy is an ImagePolicy that rejects HOST.example.
func policy(namespace, host string) v1alpha1.ImagePolicy {
	return v1alpha1.ImagePolicy{ObjectMeta: meta(namespace, host), Spec: reject(host + ".example")}
}

// cluster is a ClusterImagePolicy that rejects HOST.example.
func cluster(host string) v1alpha1.ClusterImagePolicy {
	return v1alpha1.ClusterImagePolicy{
		ObjectMeta: meta("", host), Spec: v1alpha1.ClusterImagePolicySpec{ImagePolicySpec: reject(host + ".example")},
	}
}

func selecting(policy v1alpha1.ClusterImagePolicy, labels map[string]string) v1alpha1.ClusterImagePolicy {
	policy.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: labels}
	return policy
}
