package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

func TestOnlyTheCanariesHaveTheirPolicy(t *testing.T) {
	system, own := &policy.Document{Name: "system"}, &policy.Document{Name: "canary"}
	file := &policy.Document{Name: "file"}
	set := &policy.Set{
		System:     policy.Source{Document: system},
		Canary:     policy.Source{Document: own},
		Namespaces: map[string]policy.Source{policy.CanaryNamespace: {Document: file}, "prod": {Document: file}},
	}
	for namespace, want := range map[string]*policy.Document{
		policy.CanaryNamespace: own, "prod": file, "countersign-canary": system, "countersign": system, "canary": system,
		"countersign.canary2": system,
	} {
		if got, err := set.For(namespace); got != want || err != nil {
			t.Errorf("%s has %v, %v", namespace, got, err)
		}
	}
}

func TestTheCanariesAreDenied(t *testing.T) {
	for name, set := range map[string]*policy.Set{
		"without a policy":             {System: policy.Source{Document: &policy.Document{}}},
		"with an invalid one":          {Canary: policy.Source{Err: errors.New("invalid")}},
		"if the documents are unknown": {Canary: policy.Source{Document: &policy.Document{}}, Directory: errors.New("gone")},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := set.For(policy.CanaryNamespace); err == nil {
				t.Errorf("they have %v", got)
			}
		})
	}
}

// TestNoPodCanBeACanary: Kubernetes accepts DNS labels as names of namespaces, and so does everything else here.
func TestNoPodCanBeACanary(t *testing.T) {
	if !strings.Contains(policy.CanaryNamespace, ".") || policy.ValidNamespace(policy.CanaryNamespace) {
		t.Errorf("%s can be the name of a namespace, or of a document", policy.CanaryNamespace)
	}
	ask := policy.Question{Reference: policy.AdmittedCanary, Config: digest.FromString("config")}
	for namespace, valid := range map[string]bool{
		policy.CanaryNamespace: true, "countersign.other": false, "x." + policy.CanaryNamespace: false,
		policy.CanaryNamespace + "/..": false, "COUNTERSIGN.canary": false,
	} {
		ask.Namespace = namespace
		if err := ask.Validate(); (err == nil) != valid {
			t.Errorf("namespace %q: %v", namespace, err)
		}
	}
}
