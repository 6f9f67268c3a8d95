package openshift_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/compile"
)

const team = "team"

// documents are what governs namespaces without policies, and the namespace of the policies.
type documents struct{ cluster, namespace []byte }

// theirs returns the documents of the operator.
func (m machine) theirs(t *testing.T, policies []policy) documents {
	t.Helper()
	type object map[string]any
	in := map[string]any{"template": json.RawMessage(m.template)}
	byKind := map[string][]object{}
	for _, policy := range policies {
		metadata := object{"name": policy.name, "namespace": team}
		byKind[policy.kind] = append(byKind[policy.kind], object{"metadata": metadata, "spec": policy.spec})
	}
	in["cluster"], in["policies"] = byKind[clusterKind], byKind[namespaceKind]
	var out struct {
		Cluster    json.RawMessage
		Namespaces map[string]json.RawMessage
	}
	if err := m.run(t, encode(t, in), &out); err != nil {
		t.Fatalf("the operator refuses the policies: %v", err)
	}
	made := documents{out.Cluster, out.Cluster}
	if own, ok := out.Namespaces[team]; ok {
		made.namespace = own
	}
	return made
}

// ours returns the documents of the agent.
func (m machine) ours(t *testing.T, policies []policy) documents {
	t.Helper()
	var cluster []v1alpha1.ClusterImagePolicy
	var own []v1alpha1.ImagePolicy
	for _, policy := range policies {
		var spec v1alpha1.ImagePolicySpec
		decoder := json.NewDecoder(bytes.NewReader(policy.spec))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&spec); err != nil {
			t.Fatalf("reading %s %s: %v", policy.kind, policy.name, err)
		}
		metadata := metav1.ObjectMeta{Name: policy.name}
		if policy.kind == clusterKind {
			cluster = append(cluster, v1alpha1.ClusterImagePolicy{
				ObjectMeta: metadata, Spec: v1alpha1.ClusterImagePolicySpec{ImagePolicySpec: spec},
			})
			continue
		}
		metadata.Namespace = team
		own = append(own, v1alpha1.ImagePolicy{ObjectMeta: metadata, Spec: spec})
	}
	compiler, err := compile.New(m.template, cluster)
	if err != nil {
		t.Fatal(err)
	}
	made := documents{m.template, nil}
	document, err := compiler.Cluster()
	if err == nil && document.JSON != nil {
		made.cluster = document.JSON
	}
	made.namespace = made.cluster
	if err == nil {
		document, err = compiler.Namespace(compile.Namespace{Name: team}, own)
	}
	if err != nil {
		t.Fatal(err)
	}
	if document.JSON != nil {
		made.namespace = document.JSON
	}
	return made
}

// content is a policy document.
type content struct {
	Default    []map[string]any                       `json:"default"`
	Transports map[string]map[string][]map[string]any `json:"transports"`
}

// normal returns a document in which empty fields are not set, and the default identity of a signature is. The document
// is changed by the differences that are listed, unless there are none.
func normal(t *testing.T, document []byte, listed *differences, dropped ...string) string {
	t.Helper()
	var read content
	if err := json.Unmarshal(document, &read); err != nil {
		t.Fatalf("reading a document: %v", err)
	}
	listed.removeAtomic(t, read)
	scopes := read.Transports["docker"]
	for _, scope := range dropped {
		delete(scopes, scope)
	}
	for scope, list := range scopes {
		var kept []map[string]any
		for _, requirement := range list {
			complete(requirement)
			if listed.refuses(requirement) {
				requirement = map[string]any{"type": "reject"}
			}
			same := func(known map[string]any) bool { return reflect.DeepEqual(known, requirement) }
			if !slices.ContainsFunc(kept, same) {
				kept = append(kept, requirement)
			}
		}
		scopes[scope] = kept
	}
	if len(scopes) == 0 {
		delete(read.Transports, "docker")
	}
	return string(encode(t, read))
}

// complete writes the default identity, and removes empty fields.
func complete(requirement map[string]any) {
	if requirement["type"] == "sigstoreSigned" && requirement["signedIdentity"] == nil {
		requirement["signedIdentity"] = map[string]any{"type": "matchRepoDigestOrExact"}
	}
	for name, value := range requirement {
		if value == nil || value == "" {
			delete(requirement, name)
		}
		if inner, ok := value.(map[string]any); ok {
			complete(inner)
		}
	}
}
