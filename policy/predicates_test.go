package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
)

func needs(types ...string) []*policy.Requirement {
	list := []*policy.Requirement{{Kind: policy.Reject}}
	for _, one := range types {
		list = append(list, &policy.Requirement{Kind: policy.Attested, PredicateType: one})
	}
	return list
}

func TestThePredicatesOfARepository(t *testing.T) {
	set := &policy.Set{
		System: policy.Source{Document: &policy.Document{Default: needs(), Scopes: map[string][]*policy.Requirement{
			"registry.example/team":                  needs("team"),
			"registry.example/team/app:v1":           needs("tag"),
			"*.example":                              needs("wildcard"),
			"docker.io/library/busybox":              needs("busybox"),
			"registry.example:5000":                  needs("port"),
			"registry.example/other@sha256:deadbeef": needs("invalid"),
		}}},
		Namespaces: map[string]policy.Source{
			"prod": {
				Document: &policy.Document{Default: needs("default"), Scopes: map[string][]*policy.Requirement{"": needs("any")}},
			},
			"broken": {},
		},
	}
	for repository, want := range map[string]policy.Predicates{
		"registry.example/team/app":      policy.NewPredicates("team", "tag", "wildcard", "default", "any"),
		"registry.example/team/app:v2":   policy.NewPredicates("team", "tag", "wildcard", "default", "any"),
		"registry.example/team/app/more": policy.NewPredicates("team", "wildcard", "default", "any"),
		"registry.example/teams/app":     policy.NewPredicates("wildcard", "default", "any"),
		"registry.example:5000/app":      policy.NewPredicates("port", "wildcard", "default", "any"),
		"busybox":                        policy.NewPredicates("busybox", "default", "any"),
		"other.test/app":                 policy.NewPredicates("default", "any"),
	} {
		if got := set.Predicates(ref(t, repository)); got != want {
			t.Errorf("%s: %q, want %q", repository, got, want)
		}
	}
	var none *policy.Set
	if got := none.Predicates(ref(t, "busybox")); got != "" {
		t.Errorf("without a set: %q", got)
	}
}

// TestEveryRequirementFindsItsPredicate: whatever list a document selects for an image, its predicate types are among
// those that are fetched.
func TestEveryRequirementFindsItsPredicate(t *testing.T) {
	images := []string{
		"registry.example/team/app:v1", "registry.example/team/app:v2", "registry.example:5000/app:v1", "busybox",
		"registry.example/team/app@sha256:" + strings.Repeat("0", 64), "a.b.example/x/y/z:t", "localhost/a",
		"[::1]:5000/app:v1",
	}
	for _, image := range images {
		named := ref(t, image)
		scopes := append(policy.RepositoryScopes(named), "", named.String())
		for i, scope := range scopes {
			own := fmt.Sprint(i)
			document := &policy.Document{Default: needs(), Scopes: map[string][]*policy.Requirement{scope: needs(own)}}
			set := &policy.Set{System: policy.Source{Document: document}}
			if _, list := document.Select(named); len(list) != 2 {
				t.Fatalf("%s is not selected for %s", scope, image)
			}
			if got := set.Predicates(named); !got.Contains(own) {
				t.Errorf("%s: the predicate type of scope %q is not in %q", image, scope, got)
			}
		}
	}
}

func TestPredicatesAreSets(t *testing.T) {
	two := policy.NewPredicates("b", "a", "b")
	if two != policy.NewPredicates("a", "b") || len(two.List()) != 2 {
		t.Errorf("%q", two)
	}
	for name, ok := range map[string]bool{
		"a is contained":         two.Contains("a"),
		"c is not":               !two.Contains("c"),
		"the empty type is not":  !two.Contains("") && !policy.Predicates("").Contains(""),
		"all contain any":        policy.AllPredicates.Contains("x") && policy.AllPredicates.ContainsAll(two),
		"a subset":               two.ContainsAll(policy.NewPredicates("b")),
		"the empty set":          two.ContainsAll("") && policy.Predicates("").List() == nil,
		"no superset":            !policy.NewPredicates("b").ContainsAll(two),
		"not all":                !two.ContainsAll(policy.AllPredicates),
		"a part is not the type": !policy.NewPredicates("ab").Contains("a"),
	} {
		if !ok {
			t.Error(name)
		}
	}
}

func ref(t *testing.T, name string) reference.Named {
	t.Helper()
	named, err := policy.Normalize(name)
	if err != nil {
		t.Fatal(err)
	}
	return named
}
