package compile_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/compile"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

func audited(spec v1alpha1.ImagePolicySpec) v1alpha1.ImagePolicySpec {
	spec.Mode = v1alpha1.AuditMode
	return spec
}

// enforcement returns the types of the requirements of each scope of a document, those that are only audited with "?".
func enforcement(t *testing.T, document []byte) map[string]string {
	t.Helper()
	var parsed struct {
		Transports map[string]map[string][]struct {
			Type        string `json:"type"`
			Enforcement string `json:"enforcement"`
		} `json:"transports"`
	}
	if err := json.Unmarshal(document, &parsed); err != nil {
		t.Fatalf("document %s: %v", document, err)
	}
	found := map[string]string{}
	for scope, list := range parsed.Transports["docker"] {
		var all []string
		for _, requirement := range list {
			if requirement.Enforcement != "" {
				requirement.Type += "?"
			}
			all = append(all, requirement.Type)
		}
		found[scope] = strings.Join(all, "+")
	}
	return found
}

// TestAPolicyInAuditModeNeverLoosens: whatever applies to its scopes without it still applies.
func TestAPolicyInAuditModeNeverLoosens(t *testing.T) {
	const accept, reject, sigstore = "insecureAcceptAnything", "reject", "sigstoreSigned"
	key, other := newKey(t), newKey(t)
	closed := `{"default":[{"type":"reject"}],"transports":{"docker":{"quay.io":[{"type":"insecureAcceptAnything"}]}}}`
	rejects := spec(root(v1alpha1.RejectType), "corp.example")
	tests := map[string]struct {
		layers
		want     map[string]string
		problems int
	}{
		"what the default says still applies": {
			layers{namespaced: []v1alpha1.ImagePolicy{namespaced("a", audited(spec(signed(key), "quay.io/a")))}},
			map[string]string{"quay.io/a": sigstore + "?"},
			0,
		},
		"what a scope of the node says still applies": {
			layers{system: closed, namespaced: []v1alpha1.ImagePolicy{
				namespaced("a", audited(spec(signed(key), "quay.io/a", "docker.io"))),
			}},
			map[string]string{
				"quay.io": accept, "quay.io/a": sigstore + "?", "docker.io": sigstore + "?",
			},
			0,
		},
		"what the node audits is still reported": {
			layers{
				system: `{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{` +
					`"quay.io":[{"type":"insecureAcceptAnything"},{"type":"reject","enforcement":"audit"}]}}}`,
				namespaced: []v1alpha1.ImagePolicy{namespaced("a", audited(spec(signed(key), "quay.io/a", "quay.io")))},
			},
			map[string]string{
				"quay.io": accept + "+" + reject + "?+" + sigstore + "?", "quay.io/a": reject + "?+" + sigstore + "?",
			},
			0,
		},
		"what the node only audits governs nothing": {
			layers{
				system: `{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{` +
					`"quay.io":[{"type":"reject","enforcement":"audit"}]}}}`,
				namespaced: []v1alpha1.ImagePolicy{namespaced("a", spec(signed(key), "quay.io/a"))},
			},
			map[string]string{"quay.io": reject + "?", "quay.io/a": sigstore},
			0,
		},
		"a policy that is enforced for the same scope still applies": {
			layers{namespaced: []v1alpha1.ImagePolicy{
				namespaced("a", audited(spec(signed(key), "quay.io/a"))), namespaced("b", spec(signed(other), "quay.io/a")),
			}},
			map[string]string{"quay.io/a": sigstore + "+" + sigstore + "?"},
			0,
		},
		"a policy that is enforced for a broader scope still applies": {
			layers{namespaced: []v1alpha1.ImagePolicy{
				namespaced("a", audited(spec(root(v1alpha1.RejectType), "quay.io/a:v1"))),
				namespaced("b", spec(signed(other), "quay.io")),
			}},
			map[string]string{"quay.io": sigstore, "quay.io/a:v1": reject + "?"},
			0,
		},
		"a policy of the cluster does not govern, and audits the namespace's": {
			layers{
				cluster:    []v1alpha1.ClusterImagePolicy{cluster("c", audited(rejects))},
				namespaced: []v1alpha1.ImagePolicy{namespaced("a", spec(signed(key), "corp.example/a"))},
			},
			map[string]string{
				"corp.example": reject + "?", "corp.example/a": sigstore + "+" + reject + "?",
			},
			0,
		},
		"a policy of the cluster that is enforced governs those in audit mode": {
			layers{
				cluster:    []v1alpha1.ClusterImagePolicy{cluster("c", spec(signed(key), "corp.example"))},
				namespaced: []v1alpha1.ImagePolicy{namespaced("a", audited(spec(signed(other), "corp.example/a", "quay.io")))},
			},
			map[string]string{"corp.example": sigstore, "quay.io": sigstore + "?"},
			1,
		},
		"both are in audit mode": {
			layers{
				cluster:    []v1alpha1.ClusterImagePolicy{cluster("c", audited(rejects))},
				namespaced: []v1alpha1.ImagePolicy{namespaced("a", audited(spec(signed(key), "corp.example/a")))},
			},
			map[string]string{
				"corp.example":   reject + "?",
				"corp.example/a": reject + "?+" + sigstore + "?",
			},
			0,
		},
		"a policy that cannot be used is reported": {
			layers{namespaced: []v1alpha1.ImagePolicy{namespaced("a", audited(spec(signed([]byte("no key")), "quay.io/a")))}},
			map[string]string{"quay.io/a": reject + "?"},
			1,
		},
		"a policy that accepts has no effect": {
			layers{namespaced: []v1alpha1.ImagePolicy{
				namespaced("a", audited(spec(root(v1alpha1.AcceptType), "quay.io/a"))),
				namespaced("b", spec(signed(key), "quay.io")),
			}},
			map[string]string{"quay.io": sigstore},
			0,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, document := test.compile(t)
			if diff := cmp.Diff(test.want, enforcement(t, document.JSON)); diff != "" {
				t.Errorf("scopes (-want +got):\n%s", diff)
			}
			if len(document.Problems["a"]) != test.problems {
				t.Errorf("problems: %v", document.Problems)
			}
			if _, err := signature.NewParser(signature.Kinds(nil)).Parse(document.JSON, nil); err != nil {
				t.Errorf("the daemon does not load it: %v", err)
			}
		})
	}
}

// TestAddingAPolicyInAuditModeLeavesWhatIsEnforced compares what is enforced for images with and without it.
func TestAddingAPolicyInAuditModeLeavesWhatIsEnforced(t *testing.T) {
	key := newKey(t)
	scopes := []v1alpha1.ImageScope{
		"corp.example", "corp.example/a", "corp.example/a/b", "corp.example/a/b:v1", "*.example", "*.corp.example",
	}
	images := []string{
		"corp.example/a/b:v1", "corp.example/a/b:v2", "corp.example/a:v1", "corp.example/c:v1", "x.corp.example/a:v1",
		"quay.io/a:v1",
	}
	systems := []string{
		acceptAll, `{"default":[{"type":"reject"}],"transports":{"docker":{
			"corp.example/a":[{"type":"insecureAcceptAnything"}],"":[{"type":"insecureAcceptAnything"}],
			"*.corp.example":[{"type":"reject"}]}}}`,
	}
	for _, system := range systems {
		for _, enforced := range scopes {
			for _, addition := range scopes {
				for _, ofCluster := range []bool{false, true} {
					before := layers{system: system, cluster: []v1alpha1.ClusterImagePolicy{
						selecting(cluster("elsewhere", spec(signed(key), "docker.io")), map[string]string{"no": "where"}),
					}, namespaced: []v1alpha1.ImagePolicy{namespaced("enforced", spec(signed(key), enforced))}}
					after := before
					if policy := audited(spec(root(v1alpha1.RejectType), addition)); ofCluster {
						after.cluster = append(after.cluster, cluster("audited", policy))
					} else {
						after.namespaced = append(after.namespaced, namespaced("audited", policy))
					}
					_, old := before.compile(t)
					_, made := after.compile(t)
					for _, image := range images {
						if was, is := enforcedOf(t, old, image), enforcedOf(t, made, image); was != is {
							t.Errorf("%s: auditing %s changes what is enforced from %s to %s", image, addition, was, is)
						}
					}
				}
			}
		}
	}
}

func enforcedOf(t *testing.T, document compile.Document, image string) (enforced string) {
	t.Helper()
	parsed, err := signature.NewParser(signature.Kinds(nil)).Parse(document.JSON, nil)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := policy.Normalize(image)
	if err != nil {
		t.Fatal(err)
	}
	_, list := parsed.Select(ref)
	for _, requirement := range list {
		if !requirement.Audit {
			enforced += string(requirement.Kind) + " "
		}
	}
	return enforced
}
