package bundle_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// documented is the namespace with all requirements of the type attested that docs/policy.md shows.
const documented = "documented"

// documentedRequirements returns the requirements in the documentation, with a key of this test.
func documentedRequirements(t *testing.T, key node.Key) []node.Requirement {
	t.Helper()
	page := rig.Must(os.ReadFile("../../docs/policy.md"))(t)
	var found []node.Requirement
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1) {
		var requirement node.Requirement
		// Other examples are documents, or parts of one.
		if json.Unmarshal(block[1], &requirement) != nil || requirement["type"] != "attested" {
			continue
		}
		requirement["keyPath"] = key.Public
		found = append(found, requirement)
	}
	return found
}

// attestation is what cosign attests: the predicate, and its --type.
type attestation struct{ kind, predicate string }

// asDocumented are attestations that meet the documented requirements.
func asDocumented() map[string]attestation {
	return map[string]attestation{
		"provenance": {"slsaprovenance1", `{"buildDefinition":{"buildType":"https://ci.example/build/v1",` +
			`"externalParameters":{},"resolvedDependencies":[{"uri":"git+https://git.example/shop/app@refs/tags/v1"}]},` +
			`"runDetails":{"builder":{"id":"https://ci.example/builder"}}}`},
		"vex":       {"openvex", notAffected()},
		"spdx":      {"spdxjson", `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","packages":[]}`},
		"cyclonedx": {"cyclonedx", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[]}`},
	}
}

// documentedExamples runs an image that has what the examples of the documentation ask for, and images that lack it.
func (s *site) documentedExamples(t *testing.T) {
	tests := map[string]struct {
		change  func(attestations map[string]attestation)
		refused string // The reason; empty: the image runs.
		detail  string
	}{
		"all attestations are as the examples ask": {change: func(map[string]attestation) {}},
		"the provenance is of another source": {
			func(a map[string]attestation) {
				predicate := strings.Replace(a["provenance"].predicate, "/shop/", "/another/", 1)
				a["provenance"] = attestation{"slsaprovenance1", predicate}
			},
			"rejected", "the condition is not true for it",
		},
		"a vulnerability affects the image": {
			func(a map[string]attestation) {
				a["vex"] = attestation{"openvex", `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex",` +
					`"author":"us","timestamp":"2026-01-01T00:00:00Z","version":1,"statements":[` +
					`{"vulnerability":{"name":"CVE-2026-1"},"status":"affected","action_statement":"update"}]}`}
			},
			"rejected", "the condition is not true for it",
		},
		"there is no list of components as SPDX": {
			func(a map[string]attestation) { delete(a, "spdx") }, "unsigned", "no attestation of type https://spdx.dev/Document",
		},
		"there is no list of components as CycloneDX": {
			func(a map[string]attestation) { delete(a, "cyclonedx") },
			"unsigned", "no attestation of type https://cyclonedx.org/bom",
		},
	}
	number := 0
	for name, test := range tests {
		number++
		image := s.Push(t, "shop/documented-"+string(rune('a'+number))+":v1")
		t.Run(name, func(t *testing.T) {
			attestations := asDocumented()
			test.change(attestations)
			for _, one := range attestations {
				s.attest(t, image, s.Key, one.kind, one.predicate)
			}
			if test.refused == "" {
				s.runs(t, documented, image)
				return
			}
			says(t, s.Refused(t, documented, image, test.refused).Detail, test.detail)
		})
	}
}
