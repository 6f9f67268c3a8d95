package policy_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/countersign/countersign/policy"
)

// TestAnInventoryDecidesAsEachNamespaceDoes compares an inventory with decisions in each namespace, for random
// documents, some of which share their requirements.
func TestAnInventoryDecidesAsEachNamespaceDoes(t *testing.T) {
	lists := [][]*policy.Requirement{
		{acceptAnything()},
		{rejectAll()},
		{signedBy("alice")},
		{signedBy("bob")},
		{signedBy("alice"), signedBy("bob")},
		{},
	}
	scopes := []string{tagged, repository, "registry.example", "other.example", ""}
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		n := newNode(t, rejectAll())
		n.runs(imageOf(t, tagged))
		n.signed(map[string]string{tagged: []string{"alice", "bob", "alice bob", "nameless", ""}[random.IntN(5)]})
		broken := policy.Source{Name: "/system.json", Err: errors.New("unexpected EOF")}
		set := &policy.Set{Namespaces: map[string]policy.Source{}, System: broken}
		var namespaces []string
		for i := range 20 {
			name := fmt.Sprint("n", i)
			namespaces = append(namespaces, name)
			switch document := document("/"+name, lists[random.IntN(len(lists))]...); random.IntN(8) {
			case 0: // The system policy applies.
			case 1:
				set.Namespaces[name] = policy.Source{Name: "/" + name, Err: errors.New("unexpected EOF")}
			default:
				document.Scopes = map[string][]*policy.Requirement{
					scopes[random.IntN(len(scopes))]: lists[random.IntN(len(lists))],
				}
				set.Namespaces[name] = policy.Source{Document: document}
			}
		}
		n.set.Store(set)
		sources := n.sources()
		sources.NoIdentity = func(namespace string) bool { return namespace > "n5" }
		decider := newDecider(t, sources)
		seen := map[string]int{}
		for _, verdict := range decider.Inventory(namespaces).Decide(t.Context(), normalized(t, tagged), digestOf("config")) {
			for _, namespace := range verdict.Namespaces {
				seen[namespace]++
				q := ask(tagged)
				q.Namespace = namespace
				want := decider.Decide(t.Context(), q)
				if verdict.Verdict.Outcome != want.Outcome || verdict.Verdict.Reason != want.Reason ||
					verdict.Verdict.Scope != want.Scope {
					t.Fatalf("seed %d, %s: the inventory has %+v, want %+v", seed, namespace, verdict.Verdict, want)
				}
			}
		}
		for _, namespace := range namespaces {
			if seen[namespace] != 1 {
				t.Fatalf("seed %d: %s has %d verdicts", seed, namespace, seen[namespace])
			}
		}
	}
}

// TestAnInventoryEvaluatesEqualRequirementsOnce counts the calls of the judge for a thousand namespaces.
func TestAnInventoryEvaluatesEqualRequirementsOnce(t *testing.T) {
	n := newNode(t, rejectAll())
	n.runs(imageOf(t, tagged))
	n.signed(map[string]string{tagged: "alice"})
	shared := []*policy.Requirement{signedBy("alice")}
	set := &policy.Set{Namespaces: map[string]policy.Source{}}
	var namespaces []string
	for i := range 1000 {
		name := fmt.Sprint("n", i)
		namespaces = append(namespaces, name)
		d := document("/" + name)
		d.Default = shared
		set.Namespaces[name] = policy.Source{Document: d}
	}
	n.set.Store(set)
	verdicts := n.decider(t).Inventory(namespaces).Decide(t.Context(), normalized(t, tagged), digestOf("config"))
	if len(verdicts) != 1 || !verdicts[0].Verdict.Admitted() || !slices.Equal(verdicts[0].Namespaces, namespaces) {
		t.Errorf("%d verdicts", len(verdicts))
	}
	if got := n.judged.Load(); got != 1 {
		t.Errorf("the judge was called %d times, want once", got)
	}
}

// BenchmarkInventory takes the inventory of 1,000 images in 1,000 namespaces, each with a document of its own, that
// apply ten different lists of requirements. Bound: 5 s, with the time of the judges.
func BenchmarkInventory(b *testing.B) {
	n := newNode(b, rejectAll())
	n.runs(imageOf(b, tagged))
	n.signed(map[string]string{tagged: "alice"})
	set := &policy.Set{Namespaces: map[string]policy.Source{}}
	var lists [][]*policy.Requirement
	for i := range 10 {
		lists = append(lists, []*policy.Requirement{signedBy(fmt.Sprint("signer-", i))})
	}
	var namespaces []string
	for i := range 1000 {
		name := fmt.Sprint("n", i)
		namespaces = append(namespaces, name)
		d := document("/" + name)
		d.Default = lists[i%10]
		d.Scopes = map[string][]*policy.Requirement{"other.example": lists[0], "registry.example/x": lists[1]}
		set.Namespaces[name] = policy.Source{Document: d}
	}
	n.set.Store(set)
	inventory := n.decider(b).Inventory(namespaces)
	ref := normalized(b, tagged)
	for b.Loop() {
		for range 1000 {
			if got := len(inventory.Decide(b.Context(), ref, digestOf("config"))); got != 10 {
				b.Fatalf("%d verdicts, want 10", got)
			}
		}
	}
}
