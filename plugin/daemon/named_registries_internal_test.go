package daemon

import (
	"fmt"
	"testing"

	"github.com/countersign/countersign/policy"
)

// document returns a document whose scopes require a signature.
func document(scopes ...string) policy.Source {
	named := map[string][]*policy.Requirement{}
	for _, scope := range scopes {
		named[scope] = []*policy.Requirement{{NeedsEvidence: true}}
	}
	return policy.Source{Document: &policy.Document{Scopes: named}}
}

func TestWhichRegistriesAreNamed(t *testing.T) {
	var registries namedRegistries
	if registries.contains("system.example") {
		t.Error("a registry is named before a document was read")
	}
	rejecting := document()
	rejecting.Document.Scopes["rejected.example"] = []*policy.Requirement{{}}
	registries.update(&policy.Set{
		System: document("system.example/team/app:v1", "*.wild.example", "", "10.0.0.1:5000"),
		Namespaces: map[string]policy.Source{
			"prod": document("prod.example:5000"), "rejects": rejecting, "invalid": {}, "twice": document("system.example"),
		},
	})
	for registry, want := range map[string]bool{
		"system.example": true, "a.system.example": false, "system.example:5000": false,
		"a.wild.example": true, "a.b.wild.example:5000": true, "wild.example": false, "evilwild.example": false,
		"prod.example:5000": true, "prod.example": false, "10.0.0.1:5000": true, "rejected.example": false, "": false,
	} {
		if got := registries.contains(registry); got != want {
			t.Errorf("%q is named: %v", registry, got)
		}
	}
	if got := registries.by("system.example"); got != bySystem {
		t.Errorf("a registry that two documents name is named by %d", got)
	}
	registries.update(nil)
	if registries.contains("system.example") {
		t.Error("a registry is named after all documents were removed")
	}
}

// TestATenantNamesOnlySoMany: who writes the document of a namespace has few of the places for those that are named.
func TestATenantNamesOnlySoMany(t *testing.T) {
	var scopes []string
	for i := range 1000 {
		scopes = append(scopes, fmt.Sprintf("minted-%d.example", i))
	}
	namespaces := map[string]policy.Source{"zz-good": document("good.example")}
	for i := range 100 {
		namespaces[fmt.Sprintf("evil-%d", i)] = document(scopes...)
	}
	var registries namedRegistries
	registries.update(&policy.Set{System: document("system.example"), Namespaces: namespaces})
	named := 0
	for _, scope := range scopes {
		if registries.contains(scope) {
			named++
		}
	}
	if named != maxNamedByDocument || !registries.contains("good.example") || !registries.contains("system.example") {
		t.Errorf("%d registries of one document are named; that of another: %v, that of the system policy: %v",
			named, registries.contains("good.example"), registries.contains("system.example"))
	}
}
