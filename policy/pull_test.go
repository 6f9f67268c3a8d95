package policy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/countersign/countersign/policy"
)

// documents sets a system policy and a document for each namespace, by their lists of requirements.
func (n *node) documents(system []*policy.Requirement, namespaces map[string][]*policy.Requirement) {
	set := &policy.Set{
		System:     policy.Source{Document: document("/system.json", system...)},
		Namespaces: map[string]policy.Source{},
	}
	for namespace, list := range namespaces {
		set.Namespaces[namespace] = policy.Source{Document: document("/"+namespace+".json", list...)}
	}
	n.set.Store(set)
}

func decidePull(t testing.TB, n *node, nameless bool) policy.Verdict {
	t.Helper()
	ref := normalized(t, tagged)
	return n.decider(t).DecidePull(t.Context(), policy.PullQuestion{
		Reference: ref, Image: imageOf(t, tagged), NoIdentity: nameless,
	})
}

// lists abbreviates lists of requirements.
type lists = map[string][]*policy.Requirement

func TestAPullIsWhatSomeDocumentCouldAdmit(t *testing.T) {
	reject, lost := []*policy.Requirement{rejectAll()}, []*policy.Requirement{problem()}
	alice, bob := []*policy.Requirement{signedBy("alice")}, []*policy.Requirement{signedBy("bob")}
	for name, test := range map[string]struct {
		system     []*policy.Requirement
		namespaces lists
		signed     string // "-": not signed
		want       policy.Reason
		document   string
	}{
		"the system's admits":                  {alice, nil, "alice", policy.Accepted, "/system.json"},
		"only a namespace's admits":            {reject, lists{"a": bob, "b": alice}, "alice", policy.Accepted, "/b.json"},
		"one accepts anything":                 {reject, lists{"dev": {acceptAnything()}}, "-", policy.Accepted, "/dev.json"},
		"all reject":                           {reject, lists{"dev": reject}, "alice", policy.Rejected, "/system.json"},
		"not signed":                           {alice, lists{"dev": bob}, "-", policy.Unsigned, ""},
		"not signed, and another rejects":      {reject, lists{"dev": bob}, "-", policy.Unsigned, "/dev.json"},
		"another signed, and one rejects":      {reject, lists{"dev": bob}, "carol", policy.Rejected, "/dev.json"},
		"another signed":                       {alice, lists{"dev": bob}, "carol", policy.Rejected, ""},
		"nothing is known of signatures yet":   {reject, lists{"dev": alice}, "?", policy.Pending, "/dev.json"},
		"signatures could not be fetched":      {reject, lists{"dev": alice}, "!", policy.Unavailable, "/dev.json"},
		"one of two requirements":              {append(alice, bob...), nil, "alice", policy.Rejected, "/system.json"},
		"both requirements":                    {append(alice, bob...), nil, "alice bob", policy.Accepted, "/system.json"},
		"a key that cannot be read":            {lost, lists{"dev": reject}, "alice", policy.InvalidPolicy, "/system.json"},
		"a key that cannot be read, elsewhere": {lost, lists{"dev": alice}, "alice", policy.Accepted, "/dev.json"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.documents(test.system, test.namespaces)
			if test.signed != "-" {
				n.signed(map[string]string{tagged: test.signed})
			}
			verdict := decidePull(t, n, false)
			wantReason(t, verdict, test.want)
			if test.document != "" && verdict.Document != test.document {
				t.Errorf("document %s decided, want %s", verdict.Document, test.document)
			}
			if verdict.Reference != tagged {
				t.Errorf("evaluated %s, want %s", verdict.Reference, tagged)
			}
		})
	}
}

func problem() *policy.Requirement {
	return &policy.Requirement{ID: digestOf("problem"), Kind: "signedBy", NeedsEvidence: true, Problem: "no such key"}
}

// TestADocumentThatCannotBeUsedRefusesNoPull: it is unknown what it will require once it is valid.
func TestADocumentThatCannotBeUsedRefusesNoPull(t *testing.T) {
	broken := policy.Source{Name: "/broken.json", Err: errors.New("line 3: no JSON")}
	for name, change := range map[string]func(*policy.Set){
		"the system's":  func(s *policy.Set) { s.System = broken },
		"the cluster's": func(s *policy.Set) { s.Cluster = broken },
		"a namespace's": func(s *policy.Set) { s.Namespaces = map[string]policy.Source{"dev": broken} },
		"the directory": func(s *policy.Set) { s.Directory = errors.New("it is not mounted") },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, rejectAll())
			set := *n.set.Load()
			change(&set)
			n.set.Store(&set)
			wantReason(t, decidePull(t, n, false), policy.InvalidPolicy)
		})
	}
	t.Run("none is loaded yet", func(t *testing.T) {
		n := newNode(t)
		n.set.Store(nil)
		wantReason(t, decidePull(t, n, false), policy.InvalidPolicy)
	})
	t.Run("another document admits", func(t *testing.T) {
		n := newNode(t, signedBy("alice"))
		n.signed(map[string]string{tagged: "alice"})
		set := *n.set.Load()
		set.Namespaces = map[string]policy.Source{"dev": broken}
		n.set.Store(&set)
		wantReason(t, decidePull(t, n, false), policy.Accepted)
	})
}

// TestTheSystemPolicyAdmitsNoPullIfTheClusterHasADocument: it applies to no namespace.
func TestTheSystemPolicyAdmitsNoPullIfTheClusterHasADocument(t *testing.T) {
	n := newNode(t, acceptAnything())
	wantReason(t, decidePull(t, n, false), policy.Accepted)
	set := *n.set.Load()
	strict := &policy.Document{Name: "/cluster.json", Default: []*policy.Requirement{rejectAll()}}
	set.Cluster = policy.Source{Name: strict.Name, Document: strict}
	n.set.Store(&set)
	wantReason(t, decidePull(t, n, false), policy.Rejected)
	set.System = policy.Source{Name: "/policy.json", Err: errors.New("line 3: no JSON")}
	n.set.Store(&set)
	wantReason(t, decidePull(t, n, false), policy.Rejected)
}

func TestASignatureWithoutANameSufficesForAPullIfSomeNamespaceAcceptsIt(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.judge = bundles
	n.signed(map[string]string{tagged: "nameless"})
	strict := decidePull(t, n, false)
	wantReason(t, strict, policy.Rejected)
	if !strict.NoIdentity {
		t.Error("the verdict does not report that only a name is missing")
	}
	wantReason(t, decidePull(t, n, true), policy.Accepted)
}

func TestRequiresSignature(t *testing.T) {
	const elsewhere = "registry.example/other:v1"
	for name, test := range map[string]struct {
		system     []*policy.Requirement
		namespaces lists
		want       bool
	}{
		"nothing is signed anywhere":   {[]*policy.Requirement{rejectAll()}, lists{"dev": {acceptAnything()}}, false},
		"the system policy requires":   {[]*policy.Requirement{signedBy("alice")}, nil, true},
		"one namespace requires":       {[]*policy.Requirement{rejectAll()}, lists{"dev": {signedBy("bob")}}, true},
		"its key cannot be read":       {[]*policy.Requirement{problem()}, nil, false},
		"it rejects and requires":      {[]*policy.Requirement{signedBy("a"), rejectAll()}, nil, true},
		"it requires for another only": {[]*policy.Requirement{rejectAll()}, lists{"scoped": nil}, false},
		"it has no requirement at all": {nil, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.documents(test.system, test.namespaces)
			if scoped, ok := n.set.Load().Namespaces["scoped"]; ok {
				scoped.Document.Default = []*policy.Requirement{rejectAll()}
				scoped.Document.Scopes = lists{elsewhere: {signedBy("alice")}}
			}
			decider := n.decider(t)
			if got := decider.RequiresSignature(normalized(t, tagged)); got != test.want {
				t.Errorf("required: %t, want %t", got, test.want)
			}
			if test.want {
				return
			}
			verdict := decider.DecidePull(t.Context(), policy.PullQuestion{Reference: normalized(t, tagged)})
			if n.looks.Load() != 0 || verdict.Reason == policy.Pending {
				t.Errorf("%d lookups of evidence, and %s", n.looks.Load(), verdict.Reason)
			}
		})
	}
}

// TestAnImageThatWasNotReadIsNotRefusedForItsSignatures: documents may change between RequiresSignature and DecidePull.
func TestAnImageThatWasNotReadIsNotRefusedForItsSignatures(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	decider := n.decider(t)
	question := policy.PullQuestion{Reference: normalized(t, tagged), NoIdentity: true}
	wantReason(t, decider.DecidePull(t.Context(), question), policy.Pending)
	if n.looks.Load() != 0 || n.judged.Load() != 0 {
		t.Errorf("%d lookups and %d judgements", n.looks.Load(), n.judged.Load())
	}
	question.Image = &policy.Image{}
	wantReason(t, decider.DecidePull(t.Context(), question), policy.Internal)
}

func TestAPullForANamespaceIsDecidedByItsDocumentAlone(t *testing.T) {
	reject, accept := []*policy.Requirement{rejectAll()}, []*policy.Requirement{acceptAnything()}
	alice := []*policy.Requirement{signedBy("alice")}
	for name, test := range map[string]struct {
		system     []*policy.Requirement
		namespaces lists
		want       policy.Reason
		requires   bool
	}{
		"its document rejects what others accept": {accept, lists{"prod": reject, "dev": accept}, policy.Rejected, false},
		"its document accepts what others reject": {reject, lists{"prod": accept, "dev": reject}, policy.Accepted, false},
		"its document requires a signature":       {accept, lists{"prod": alice}, policy.Unsigned, true},
		"without a document it has the system's":  {reject, lists{"dev": accept}, policy.Rejected, false},
		"only another requires a signature":       {accept, lists{"dev": alice}, policy.Accepted, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.documents(test.system, test.namespaces)
			decider := n.decider(t)
			question := policy.PullQuestion{
				Reference: normalized(t, tagged), Namespace: "prod", Image: imageOf(t, tagged),
			}
			wantReason(t, decider.DecidePull(t.Context(), question), test.want)
			if got := decider.RequiresSignatureFor(question); got != test.requires {
				t.Errorf("requires a signature: %t, want %t", got, test.requires)
			}
		})
	}
	t.Run("its document cannot be used", func(t *testing.T) {
		n := newNode(t)
		n.documents(accept, nil)
		n.set.Load().Namespaces["prod"] = policy.Source{Name: "/prod.json", Err: errors.New("broken")}
		question := policy.PullQuestion{Reference: normalized(t, tagged), Namespace: "prod"}
		verdict := n.decider(t).DecidePull(t.Context(), question)
		wantReason(t, verdict, policy.InvalidPolicy)
		question.Namespace = "dev"
		wantReason(t, n.decider(t).DecidePull(t.Context(), question), policy.Accepted)
	})
}

func TestListsThatDocumentsShareAreJudgedOnce(t *testing.T) {
	n := newNode(t)
	shared, other := []*policy.Requirement{signedBy("alice")}, []*policy.Requirement{signedBy("bob")}
	namespaces := lists{}
	for i := range 10_000 {
		namespaces[fmt.Sprintf("team-%05d", i)] = shared
	}
	namespaces["one"] = other
	n.documents(shared, namespaces)
	wantReason(t, decidePull(t, n, false), policy.Unsigned)
	if n.judged.Load() != 2 || n.looks.Load() != 1 {
		t.Errorf("%d judgements and %d lookups of evidence, want one for each list and one lookup",
			n.judged.Load(), n.looks.Load())
	}
}

func TestAJudgeThatPanicsRefusesNoPull(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.judge = func(context.Context, policy.JudgeRequest) policy.Finding {
		panic("out of order")
	}
	wantReason(t, decidePull(t, n, false), policy.Internal)
}

// BenchmarkDecidePullOf10000Documents decides a pull on a node with 10,000 namespaces that share their requirements.
func BenchmarkDecidePullOf10000Documents(b *testing.B) {
	n := newNode(b)
	shared := []*policy.Requirement{signedBy("alice")}
	namespaces := lists{}
	for i := range 10_000 {
		namespaces[fmt.Sprintf("team-%05d", i)] = shared
	}
	n.documents(shared, namespaces)
	decider := n.decider(b)
	question := policy.PullQuestion{Reference: normalized(b, tagged), Image: imageOf(b, tagged)}
	b.ReportAllocs()
	for b.Loop() {
		if !decider.RequiresSignature(question.Reference) ||
			decider.DecidePull(b.Context(), question).Reason != policy.Unsigned {
			b.Fatal("it is not unsigned")
		}
	}
}
