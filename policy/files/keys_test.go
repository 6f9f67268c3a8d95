package files_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
)

// keyed is a document that names key files.
func (n *node) keyed(is string, keys ...string) string {
	quoted := make([]string, 0, len(keys))
	for _, key := range keys {
		quoted = append(quoted, fmt.Sprintf("%q", n.path(key)))
	}
	return fmt.Sprintf(`{"is": %q, "keys": [%s]}`, is, strings.Join(quoted, ", "))
}

func TestAChangedKeyFileIsAChangedDocument(t *testing.T) {
	changes := map[string]func(*node){
		"written in place": func(n *node) { n.write("keys/a.pub", "AA") },
		"renamed over": func(n *node) {
			n.write("keys/.new", "AA")
			n.rename("keys/.new", "keys/a.pub")
		},
		"its directory replaced": func(n *node) {
			n.write("new/a.pub", "AA")
			n.rename("keys", "old")
			n.rename("new", "keys")
		},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, map[string]string{"keys/a.pub": "A", "more/b.pub": "B"})
			n.write("system.json", n.keyed("system", "more/b.pub"))
			n.write("policies/prod.json", n.keyed("strict", "keys/a.pub", "more/b.pub"))
			n.write("policies/dev.json", n.keyed("lax", "more/b.pub"))
			n.run()
			n.is("prod", "strict+A+B")
			before, parsed := n.documents.Current(), n.parser.parsed.Load()
			change(n)
			n.until("prod", "strict+AA+B")
			after := n.documents.Current()
			if before.Namespaces["dev"] != after.Namespaces["dev"] || before.System != after.System {
				t.Error("documents that do not name the key file are others now")
			}
			// While the directory is replaced, the file may be missing for a moment.
			if more := n.parser.parsed.Load() - parsed; more > 2 {
				t.Errorf("one changed key file that one document names cost %d parses", more)
			}
		})
	}
}

func TestASecretsSwap(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"keys/..1/a.pub": "A", "keys/..2/a.pub": "AA"})
	n.symlink("..1", "keys/..data")
	n.symlink("..data/a.pub", "keys/a.pub")
	n.write("system.json", n.keyed("system", "keys/a.pub"))
	n.run()
	n.is("prod", "system+A")
	n.replace("..2", "keys/..data")
	n.until("prod", "system+AA")
	n.write("keys/..2/a.pub", "AAA")
	n.until("prod", "system+AAA")
}

func TestAKeyFileThatIsMissing(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"keys/a.pub": "A"})
	n.write("policies/prod.json", n.keyed("strict", "keys/a.pub", "late/b.pub"))
	n.write("system.json", system)
	n.run()
	n.problem("late/b.pub: no such file or directory")
	n.write("late/b.pub", "B")
	n.until("prod", "strict+A+B")
	n.problem("")
	n.remove("keys/a.pub")
	n.problem("keys/a.pub: no such file or directory")
	n.logged(1, `"policy problem"`, "late/b.pub")
	n.logged(1, `"policy problem resolved"`, "late/b.pub")
}

func TestADocumentThatNamesAnotherKeyFile(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"keys/a.pub": "A", "more/b.pub": "B", "system.json": system})
	n.write("policies/prod.json", n.keyed("strict", "keys/a.pub"))
	n.run()
	n.write("policies/prod.json", n.keyed("strict", "more/b.pub"))
	n.until("prod", "strict+B")
	n.write("more/b.pub", "BB")
	n.until("prod", "strict+BB")
}

func TestAKeyFileNamedButNotRead(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"a.pub": "A"})
	n.write("system.json", system)
	n.config.Parse = func(raw []byte, read func(string) ([]byte, error)) (*policy.Document, error) {
		document, err := n.parser.parse(raw, read)
		if err == nil {
			document.KeyFiles = []string{n.path("a.pub")}
		}
		return document, err
	}
	n.run()
	n.put("policies/prod.json", strict)
	n.until("prod", "strict")
	if parsed := n.parser.parsed.Load(); parsed != 2 {
		t.Errorf("two documents cost %d parses: a file that was never read is taken for changed", parsed)
	}
	before := n.documents.Current().System.Document
	n.write("a.pub", "AA")
	n.wait("the system's document to be another", func() bool {
		return n.documents.Current().System.Document != before
	})
}

func TestEverySnapshotIsWhole(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"system.json": system, "shared.pub": "0"})
	const namespaces = 50
	for i := range namespaces {
		n.write(fmt.Sprintf("policies/ns-%d.json", i), n.keyed("strict", "shared.pub"))
	}
	n.follow(files.Open(n.config))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for n.whole(namespaces) {
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for generation := range 5 {
		n.put("shared.pub", fmt.Sprint(generation+1))
		n.until("ns-7", fmt.Sprintf("strict+%d", generation+1))
	}
	close(stop)
	readers.Wait()
}

// whole checks that all documents of the current snapshot saw the same contents of their common key file.
func (n *node) whole(namespaces int) bool {
	set := n.documents.Current()
	first := governs(set, "ns-0")
	for i := range namespaces {
		if got := governs(set, fmt.Sprintf("ns-%d", i)); got != first {
			n.Errorf("in one snapshot ns-0 is governed by %q and ns-%d by %q", first, i, got)
			return false
		}
	}
	return true
}

// TestAProblemOfAKeyIsReportedForTheListThatNamesIt, not for a scope that enforces nothing and what is enforced there.
func TestAProblemOfAKeyIsReportedForTheListThatNamesIt(t *testing.T) {
	n := newNode(t, map[string]string{"system.json": system})
	parse := func([]byte, func(string) ([]byte, error)) (*policy.Document, error) {
		keyless := &policy.Requirement{Kind: policy.SignedBy, Problem: "no key"}
		return &policy.Document{
			Default:     []*policy.Requirement{keyless},
			Scopes:      map[string][]*policy.Requirement{"registry.example": {{Kind: policy.Reject, Audit: true}, keyless}},
			OnlyAudited: map[string]int{"registry.example": 1},
		}, nil
	}
	want := []files.KeyProblem{{Document: n.path("system.json"), IsDefault: true, Cause: "no key"}}
	status := files.Open(files.Config{System: n.config.System, Parse: parse}).Status()
	if diff := cmp.Diff(want, status.Keys); diff != "" {
		t.Error(diff)
	}
}
