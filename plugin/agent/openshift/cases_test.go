package openshift_test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Kinds of policies, which are those of OpenShift and of this project.
const (
	clusterKind   = "ClusterImagePolicy"
	namespaceKind = "ImagePolicy"
)

// policy is a policy of OpenShift.
type policy struct {
	name, kind string
	spec       json.RawMessage
}

// scopes returns the scopes of a policy.
func (p policy) scopes(t *testing.T) []string {
	t.Helper()
	var spec struct{ Scopes []string }
	if err := json.Unmarshal(p.spec, &spec); err != nil {
		t.Fatal(err)
	}
	return spec.Scopes
}

// apiCases returns the objects that OpenShift's API server has to accept, by the test cases of its API.
func apiCases(t *testing.T) []policy {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(module(t, api), "config", "v1", "tests", "*imagepolicies*", "*.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("OpenShift's API has no test cases: %v", err)
	}
	var accepted []policy
	for _, path := range paths {
		var file struct {
			Tests struct {
				OnCreate []struct {
					Name, Initial string
					ExpectedError string `yaml:"expectedError"`
				} `yaml:"onCreate"`
			}
		}
		if err := yaml.Unmarshal(read(t, path), &file); err != nil {
			t.Fatal(err)
		}
		for _, test := range file.Tests.OnCreate {
			if test.ExpectedError != "" {
				continue
			}
			var object struct {
				Kind string
				Spec map[string]any
			}
			if err := yaml.Unmarshal([]byte(test.Initial), &object); err != nil {
				t.Fatalf("reading %q: %v", test.Name, err)
			}
			accepted = append(accepted, policy{test.Name, object.Kind, encode(t, object.Spec)})
		}
	}
	return accepted
}

// fixtures returns the objects of the operator's own tests. An identity that is not set is encoded as an empty one,
// which the API server would not accept.
func (m machine) fixtures(t *testing.T) []policy {
	t.Helper()
	type objects map[string]struct{ Spec map[string]any }
	var all struct{ Cluster, Policies objects }
	if err := m.run(t, nil, &all, "fixtures"); err != nil {
		t.Fatal(err)
	}
	var found []policy
	for kind, list := range map[string]objects{clusterKind: all.Cluster, namespaceKind: all.Policies} {
		for name, object := range list {
			rules, ok := object.Spec["policy"].(map[string]any)
			if !ok {
				t.Fatalf("%s %s has no policy", kind, name)
			}
			if reflect.DeepEqual(rules["signedIdentity"], map[string]any{"matchPolicy": ""}) {
				delete(rules, "signedIdentity")
			}
			found = append(found, policy{name, kind, encode(t, object.Spec)})
		}
	}
	return found
}

func encode(t *testing.T, value any) json.RawMessage {
	t.Helper()
	raw, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
