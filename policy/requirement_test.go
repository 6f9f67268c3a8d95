package policy_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
)

// TestKeyFilesAreNamedByTheRequirementAndNotByItsFinding: two requirements with the same content share findings, and
// each names its own files.
func TestKeyFilesAreNamedByTheRequirementAndNotByItsFinding(t *testing.T) {
	one, two := *signedBy("alice"), *signedBy("alice")
	one.KeyFiles, two.KeyFiles = []string{"/keys/one.pub"}, []string{"/keys/two.pub"}
	n := newNode(t)
	n.set.Store(&policy.Set{
		System:     policy.Source{Document: document("/system.json", &two)},
		Namespaces: map[string]policy.Source{"prod": {Document: document("/prod.json", &one)}},
	})
	n.signed(map[string]string{tagged: "mallory"})
	decider := newDecider(t, n.sources())
	question := ask(tagged)
	first := decider.Decide(t.Context(), question)
	question.Namespace = "other"
	second := decider.Decide(t.Context(), question)
	for _, verdict := range []policy.Verdict{first, second} {
		file := map[string]string{"/prod.json": "/keys/one.pub", "/system.json": "/keys/two.pub"}[verdict.Document]
		if !strings.HasSuffix(verdict.Detail, "(the requirement's keys are in "+file+")") {
			t.Errorf("of %s: %s", verdict.Document, verdict.Detail)
		}
	}
	if n.judged.Load() != 1 {
		t.Errorf("judged %d times: they share no finding", n.judged.Load())
	}
}
