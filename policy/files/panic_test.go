package files_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
)

// TestADocumentThatPanicsTheParserDeniesItsNamespaceOnly, at start and later: otherwise the daemon could not start
// while the document exists.
func TestADocumentThatPanicsTheParserDeniesItsNamespaceOnly(t *testing.T) {
	n := newNode(t, map[string]string{
		"system.json": system, "policies/prod.json": strict, "policies/bad.json": `{"is": "panics"}`,
	})
	var told atomic.Int64
	n.config.Panicked = func(failure *policy.PanicError) {
		told.Add(1)
		if failure.Value != "out of order" || !strings.Contains(failure.Stack, "panic_test.go") &&
			!strings.Contains(failure.Stack, "files_test.go") {
			t.Errorf("panicked was called with %v:\n%s", failure, failure.Stack)
		}
	}
	denied := "denied: parsing policy " + n.path("policies/bad.json") + ": panic in the policy parser: out of order"
	for range 2 { // Each start is like the first.
		n.documents = files.Open(n.config)
		n.is("bad", denied)
		n.is("prod", "strict")
		n.is("other", "system")
	}
	if got := told.Load(); got != 2 {
		t.Errorf("%d panics were reported, want one for each start", got)
	}

	n.run()
	n.put("policies/prod.json", `{"is": "panics"}`)
	n.problem("out of order")
	n.is("prod", "strict") // Its last good version holds.
	n.put("policies/bad.json", lax)
	n.until("bad", "lax")
	n.put("policies/prod.json", lax)
	n.until("prod", "lax")
}
