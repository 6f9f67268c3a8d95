package compile_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/compile"
)

// acceptAll is a system policy that requires nothing.
const acceptAll = `{"default":[{"type":"insecureAcceptAnything"}]}`

// types returns the types of the requirements of each scope of a document, joined by "+".
func types(t *testing.T, document []byte) map[string]string {
	t.Helper()
	var parsed struct {
		Transports map[string]map[string][]struct {
			Type string `json:"type"`
		} `json:"transports"`
	}
	if err := json.Unmarshal(document, &parsed); err != nil {
		t.Fatalf("document %s: %v", document, err)
	}
	found := map[string]string{}
	for scope, list := range parsed.Transports["docker"] {
		var all []string
		for _, requirement := range list {
			all = append(all, requirement.Type)
		}
		found[scope] = strings.Join(all, "+")
	}
	return found
}

func root(kind v1alpha1.PolicyType) v1alpha1.Policy {
	return v1alpha1.Policy{RootOfTrust: v1alpha1.RootOfTrust{PolicyType: kind}}
}

func signed(key []byte) v1alpha1.Policy {
	policy := root(v1alpha1.PublicKeyType)
	policy.RootOfTrust.PublicKey = &v1alpha1.PublicKey{KeyData: key}
	return policy
}

func spec(policy v1alpha1.Policy, scopes ...v1alpha1.ImageScope) v1alpha1.ImagePolicySpec {
	return v1alpha1.ImagePolicySpec{Scopes: scopes, Policy: policy}
}

func cluster(name string, spec v1alpha1.ImagePolicySpec) v1alpha1.ClusterImagePolicy {
	return v1alpha1.ClusterImagePolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.ClusterImagePolicySpec{ImagePolicySpec: spec},
	}
}

func selecting(policy v1alpha1.ClusterImagePolicy, labels map[string]string) v1alpha1.ClusterImagePolicy {
	policy.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: labels}
	return policy
}

func namespaced(name string, spec v1alpha1.ImagePolicySpec) v1alpha1.ImagePolicy {
	return v1alpha1.ImagePolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team"}, Spec: spec}
}

// layers are the input of a compilation, for the namespace "team".
type layers struct {
	system     string
	cluster    []v1alpha1.ClusterImagePolicy
	namespaced []v1alpha1.ImagePolicy
	labels     map[string]string
}

func (l layers) compile(t *testing.T) (cluster, namespace compile.Document) {
	t.Helper()
	if l.system == "" {
		l.system = acceptAll
	}
	compiler, err := compile.New([]byte(l.system), l.cluster)
	if err != nil {
		t.Fatal(err)
	}
	if cluster, err = compiler.Cluster(); err != nil {
		t.Fatal(err)
	}
	namespace, err = compiler.Namespace(compile.Namespace{Name: "team", Labels: l.labels}, l.namespaced)
	if err != nil {
		t.Fatal(err)
	}
	return cluster, namespace
}

func TestTheScopesOfTheNamespacesDocument(t *testing.T) {
	key, other := newKey(t), newKey(t)
	const sigstore = "sigstoreSigned"
	corp := cluster("corp", spec(signed(key), "corp.example"))
	tests := map[string]struct {
		layers
		// want are the types of the requirements of each scope; nil: there is no document.
		want map[string]string
		// problems are the reason and the scope of each problem.
		problems []string
	}{
		"without a policy there is no document": {},
		"a namespace adds its scope to those of the cluster": {
			layers{cluster: []v1alpha1.ClusterImagePolicy{corp}, namespaced: []v1alpha1.ImagePolicy{
				namespaced("own", spec(signed(other), "docker.io/team")),
			}},
			map[string]string{"corp.example": sigstore, "docker.io/team": sigstore},
			nil,
		},
		"the scope of a cluster policy is not the namespace's": {
			layers{cluster: []v1alpha1.ClusterImagePolicy{corp}, namespaced: []v1alpha1.ImagePolicy{
				namespaced("own", spec(root(v1alpha1.AcceptType), "corp.example")),
			}},
			nil,
			[]string{"ConflictScopes corp.example"},
		},
		"a repository, a tag and a digest are in the scope of their host": {
			layers{cluster: []v1alpha1.ClusterImagePolicy{corp}, namespaced: []v1alpha1.ImagePolicy{
				namespaced("own", spec(signed(other), "corp.example/a", "corp.example/a:v1",
					"corp.example/a@sha256:"+v1alpha1.ImageScope(strings.Repeat("a", 64)), "quay.io/a")),
			}},
			map[string]string{"corp.example": sigstore, "quay.io/a": sigstore},
			[]string{
				"ConflictScopes corp.example/a", "ConflictScopes corp.example/a:v1",
				"ConflictScopes corp.example/a@sha256:" + strings.Repeat("a", 64),
			},
		},
		"a host with a port is another host": {
			layers{cluster: []v1alpha1.ClusterImagePolicy{corp}, namespaced: []v1alpha1.ImagePolicy{
				namespaced("own", spec(signed(other), "corp.example:5000")),
			}},
			map[string]string{"corp.example": sigstore, "corp.example:5000": sigstore},
			nil,
		},
		"a wildcard governs the hosts below it, with ports, and narrower wildcards": {
			layers{
				cluster: []v1alpha1.ClusterImagePolicy{cluster("wild", spec(signed(key), "*.example"))},
				namespaced: []v1alpha1.ImagePolicy{namespaced("own", spec(signed(other),
					"corp.example", "corp.example:5000/a", "*.corp.example", "a.b.example/x:1", "example.org"))},
			},
			map[string]string{"*.example": sigstore, "example.org": sigstore},
			[]string{
				"ConflictScopes corp.example", "ConflictScopes corp.example:5000/a",
				"ConflictScopes *.corp.example", "ConflictScopes a.b.example/x:1",
			},
		},
		"a broader scope of the namespace stays, and the cluster's is more specific": {
			layers{
				cluster:    []v1alpha1.ClusterImagePolicy{cluster("app", spec(signed(key), "corp.example/app"))},
				namespaced: []v1alpha1.ImagePolicy{namespaced("own", spec(signed(other), "corp.example"))},
			},
			map[string]string{"corp.example": sigstore, "corp.example/app": sigstore},
			nil,
		},
		"policies with the same scope are all required, and the same requirement is not repeated": {
			layers{namespaced: []v1alpha1.ImagePolicy{
				namespaced("a", spec(signed(key), "quay.io/a")), namespaced("b", spec(signed(other), "quay.io/a")),
				namespaced("c", spec(signed(key), "quay.io/a")), namespaced("d", spec(root(v1alpha1.RejectType), "quay.io/a")),
			}},
			map[string]string{"quay.io/a": sigstore + "+" + sigstore + "+reject"},
			nil,
		},
		"a key that is none refuses its scopes, and harms no other policy": {
			layers{namespaced: []v1alpha1.ImagePolicy{
				namespaced("bad", spec(signed([]byte("not a key")), "quay.io/a")),
				namespaced("good", spec(signed(key), "quay.io/b")),
			}},
			map[string]string{"quay.io/a": "reject", "quay.io/b": sigstore},
			[]string{"InvalidPolicy "},
		},
		"a scope that can never match is left out": {
			layers{namespaced: []v1alpha1.ImagePolicy{
				namespaced("own", spec(signed(key), "busybox", "Quay.io/Upper", "quay.io/b")),
			}},
			map[string]string{"quay.io/b": sigstore},
			[]string{"UnmatchableScopes busybox", "UnmatchableScopes Quay.io/Upper"},
		},
		"what the node refuses stays refused": {
			layers{
				system: `{"default":[{"type":"insecureAcceptAnything"}],
					"transports":{"docker":{"evil.example":[{"type":"reject"}]}}}`,
				namespaced: []v1alpha1.ImagePolicy{namespaced("own", spec(signed(key), "evil.example/a", "quay.io/a"))},
			},
			map[string]string{"evil.example": "reject", "quay.io/a": sigstore},
			[]string{"ConflictScopes evil.example/a"},
		},
		"a namespace may sign what the node refuses by default": {
			layers{
				system:     `{"default":[{"type":"reject"}]}`,
				namespaced: []v1alpha1.ImagePolicy{namespaced("own", spec(signed(key), "quay.io/a"))},
			},
			map[string]string{"quay.io/a": sigstore},
			nil,
		},
		"a namespace accepts nothing unsigned that the node does not accept": {
			layers{
				system:     `{"default":[{"type":"reject"}]}`,
				namespaced: []v1alpha1.ImagePolicy{namespaced("own", spec(root(v1alpha1.AcceptType), "quay.io/a"))},
			},
			nil,
			[]string{"ConflictScopes quay.io/a"},
		},
		"a cluster policy replaces the same scope of the node": {
			layers{
				system: `{"default":[{"type":"reject"}],
					"transports":{"docker":{"quay.io":[{"type":"insecureAcceptAnything"}]}}}`,
				cluster:    []v1alpha1.ClusterImagePolicy{cluster("quay", spec(signed(key), "quay.io"))},
				namespaced: []v1alpha1.ImagePolicy{namespaced("own", spec(signed(other), "docker.io"))},
			},
			map[string]string{"quay.io": sigstore, "docker.io": sigstore},
			nil,
		},
		"a namespace that a cluster policy does not select has a document without it": {
			layers{cluster: []v1alpha1.ClusterImagePolicy{
				corp, selecting(cluster("prod", spec(signed(key), "quay.io")), map[string]string{"stage": "prod"}),
			}},
			map[string]string{"corp.example": sigstore},
			nil,
		},
		"a namespace that every cluster policy selects needs no document": {
			layers{
				cluster: []v1alpha1.ClusterImagePolicy{
					corp, selecting(cluster("prod", spec(signed(key), "quay.io")), map[string]string{"stage": "prod"}),
				},
				labels: map[string]string{"stage": "prod"},
			},
			nil, nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, document := test.compile(t)
			if test.want == nil && document.JSON != nil {
				t.Errorf("there is a document: %s", document.JSON)
			} else if test.want != nil {
				if diff := cmp.Diff(test.want, types(t, document.JSON)); diff != "" {
					t.Errorf("scopes (-want +got):\n%s", diff)
				}
			}
			var problems []string
			for _, name := range slices.Sorted(maps.Keys(document.Problems)) {
				for _, problem := range document.Problems[name] {
					problems = append(problems, string(problem.Reason)+" "+problem.Scope)
				}
			}
			if diff := cmp.Diff(test.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s\n%v", diff, document.Problems)
			}
		})
	}
}

// A new namespace is governed by the cluster document until it has its own, so that document has every policy.
func TestTheClusterDocumentHasThePoliciesThatSelect(t *testing.T) {
	key := newKey(t)
	document, _ := layers{cluster: []v1alpha1.ClusterImagePolicy{
		selecting(cluster("prod", spec(signed(key), "quay.io")), map[string]string{"stage": "prod"}),
		cluster("bad", spec(signed([]byte("no key")), "docker.io")),
	}}.compile(t)
	want := map[string]string{"quay.io": "sigstoreSigned", "docker.io": "reject"}
	if diff := cmp.Diff(want, types(t, document.JSON)); diff != "" {
		t.Error(diff)
	}
	if found := document.Problems["bad"]; len(found) != 1 || found[0].Reason != compile.InvalidPolicy {
		t.Errorf("problems: %v", document.Problems)
	}
}

// TestTheClusterDocumentIsTheStrictest: a policy that selects namespaces may loosen one with a broader scope.
func TestTheClusterDocumentIsTheStrictest(t *testing.T) {
	key := newKey(t)
	prod := map[string]string{"stage": "prod"}
	accept := func(name string, scope v1alpha1.ImageScope) v1alpha1.ClusterImagePolicy {
		return selecting(cluster(name, spec(root(v1alpha1.AcceptType), scope)), prod)
	}
	tests := map[string]struct {
		layers
		want map[string]string
	}{
		"what some namespaces accept is refused as it is without that policy": {
			layers{cluster: []v1alpha1.ClusterImagePolicy{
				cluster("host", spec(root(v1alpha1.RejectType), "corp.example")), accept("tools", "corp.example/tools"),
				accept("one", "corp.example/tools/one"),
			}},
			map[string]string{
				"corp.example": "reject", "corp.example/tools": "reject", "corp.example/tools/one": "reject",
			},
		},
		"a policy for every namespace ends the search": {
			layers{cluster: []v1alpha1.ClusterImagePolicy{
				cluster("host", spec(root(v1alpha1.RejectType), "corp.example")),
				cluster("tools", spec(signed(key), "corp.example/tools")), accept("one", "corp.example/tools/one"),
			}},
			map[string]string{
				"corp.example": "reject", "corp.example/tools": "sigstoreSigned", "corp.example/tools/one": "sigstoreSigned",
			},
		},
		"the node's own policy counts": {
			layers{
				system:  `{"default":[{"type":"reject"}],"transports":{"docker":{"quay.io":[{"type":"insecureAcceptAnything"}]}}}`,
				cluster: []v1alpha1.ClusterImagePolicy{accept("quay", "quay.io/a"), accept("docker", "docker.io")},
			},
			map[string]string{"quay.io": "insecureAcceptAnything", "quay.io/a": "insecureAcceptAnything", "docker.io": "reject"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			document, _ := test.compile(t)
			if diff := cmp.Diff(test.want, types(t, document.JSON)); diff != "" {
				t.Errorf("scopes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestASelectorThatCannotBeReadSelectsEveryNamespace(t *testing.T) {
	policy := cluster("odd", spec(signed(newKey(t)), "quay.io"))
	policy.Spec.NamespaceSelector = &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Sometimes"}},
	}
	document, namespace := layers{cluster: []v1alpha1.ClusterImagePolicy{policy}}.compile(t)
	if namespace.JSON != nil {
		t.Errorf("the namespace has a document without the policy: %s", namespace.JSON)
	}
	if found := document.Problems["odd"]; len(found) != 1 || found[0].Reason != compile.InvalidSelector {
		t.Errorf("problems: %v", document.Problems)
	}
}

func TestTheOrderOfObjectsDoesNotMatter(t *testing.T) {
	keys := [][]byte{newKey(t), newKey(t), newKey(t)}
	var all layers
	for i, name := range []string{"a", "b", "c", "d", "e", "f"} {
		policy := spec(signed(keys[i%3]), "corp.example", v1alpha1.ImageScope("quay.io/"+name))
		all.cluster = append(all.cluster, cluster(name, policy))
		all.namespaced = append(all.namespaced, namespaced(name, spec(signed(keys[i%3]), "docker.io/team")))
	}
	firstCluster, first := all.compile(t)
	for range 20 {
		shuffle(all.cluster)
		shuffle(all.namespaced)
		cluster, namespace := all.compile(t)
		if !bytes.Equal(cluster.JSON, firstCluster.JSON) || !bytes.Equal(namespace.JSON, first.JSON) {
			t.Fatalf("another order, another document:\n%s\n%s", first.JSON, namespace.JSON)
		}
	}
}

func shuffle[T any](list []T) {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

func TestTheSystemPolicyMustBeOne(t *testing.T) {
	for name, system := range map[string]string{
		"empty": "", "no default": `{}`, "an unknown key": `{"default":[{"type":"reject"}],"x":1}`,
		"an empty list": `{"default":[]}`, "another type": `{"default":[{"type":"x"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := compile.New([]byte(system), nil); err == nil || !strings.Contains(err.Error(), "system policy") {
				t.Errorf("error: %v", err)
			}
		})
	}
}

// The other transports and the paths of keys in the system policy are left as they are: the daemon reads them.
func TestTheSystemPolicyStaysInEveryDocument(t *testing.T) {
	const system = `{"default":[{"type":"signedBy","keyType":"GPGKeys","keyPath":"/etc/keys/a.gpg"}],"transports":{
		"docker-daemon":{"":[{"type":"insecureAcceptAnything"}]},
		"docker":{"":[{"type":"reject"}],"registry.k8s.io/pause":[{"type":"insecureAcceptAnything"}]}}}`
	_, document := layers{system: system, namespaced: []v1alpha1.ImagePolicy{
		namespaced("own", spec(signed(newKey(t)), "quay.io/a")),
	}}.compile(t)
	want := map[string]string{
		"": "reject", "registry.k8s.io/pause": "insecureAcceptAnything", "quay.io/a": "sigstoreSigned",
	}
	if diff := cmp.Diff(want, types(t, document.JSON)); diff != "" {
		t.Error(diff)
	}
	for _, part := range []string{`"/etc/keys/a.gpg"`, `"docker-daemon"`} {
		if !bytes.Contains(document.JSON, []byte(part)) {
			t.Errorf("%s is missing: %s", part, document.JSON)
		}
	}
}
