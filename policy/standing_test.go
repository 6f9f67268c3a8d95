package policy_test

import (
	"testing"

	"github.com/countersign/countersign/policy"
)

// TestWhatSatisfiedBeforeIsJudgedFirst asks again in another namespace and in other words, and counts who was asked for
// the image: whatever others put around its config since does not matter.
func TestWhatSatisfiedBeforeIsJudgedFirst(t *testing.T) {
	id := digestOf("config").String()
	digested := repository + "@" + digestOf("manifest of "+tagged).String()
	const other = repository + "@sha256:0000000000000000000000000000000000000000000000000000000000000000"
	alice, bob := signedBy("alice"), signedBy("bob")
	cases := map[string]struct {
		other     *policy.Document
		reference string
		gone      bool // the image is not obtained as it was
		want      policy.Reason
		examined  bool
	}{
		"by the same name":                {document("/o", alice), tagged, false, policy.Accepted, false},
		"by another tag":                  {document("/o", alice), repository + ":v2", false, policy.Accepted, false},
		"by its digest":                   {document("/o", alice), digested, false, policy.Accepted, false},
		"by its ID":                       {document("/o", alice), id, false, policy.Accepted, false},
		"by the ID of another image":      {document("/o", alice), "sha256:00", false, policy.UnknownOrigin, true},
		"by a digest that is not its":     {document("/o", alice), other, false, policy.UnknownOrigin, true},
		"by a name of another repository": {document("/o", alice), "other.example/app", false, policy.UnknownOrigin, true},
		"another signer is required":      {document("/o", bob), id, false, policy.Rejected, true},
		"both signers are required":       {document("/o", alice, bob), id, false, policy.Rejected, true},
		"everything is rejected":          {document("/o", rejectAll()), id, false, policy.Rejected, true},
		"everything is accepted":          {document("/o", acceptAnything()), id, false, policy.Accepted, false},
		"it is obtained otherwise now":    {document("/o", alice), id, true, policy.Accepted, true},
		"a scope names another tag": {
			&policy.Document{Name: "/o", Default: []*policy.Requirement{rejectAll()}, Scopes: lists{
				repository + ":v2": {acceptAnything()},
			}}, repository + ":v2", false, policy.UnknownOrigin, true,
		},
		"a scope names its tag": {
			&policy.Document{Name: "/o", Default: []*policy.Requirement{rejectAll()}, Scopes: lists{tagged: {alice}}},
			id, false, policy.Accepted, false,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t)
			n.set.Store(&policy.Set{
				System:     policy.Source{Document: document("/system.json", alice)},
				Namespaces: map[string]policy.Source{"other": {Document: c.other}},
			})
			n.signed(map[string]string{tagged: "alice"})
			holds := n.obtained(t, tagged)
			decider := n.decider(t)
			wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
			holds.Store(!c.gone)
			before := n.images.Load()
			again := ask(c.reference)
			again.Namespace = "other"
			wantReason(t, decider.Decide(t.Context(), again), c.want)
			if examined := n.images.Load() > before; examined != c.examined {
				t.Errorf("the image was examined: %t, want %t", examined, c.examined)
			}
		})
	}
}

// TestOthersWhoSatisfyDoNotTakeAStanding: a tenant can sign whatever he puts around a config, with a key of his own.
func TestOthersWhoSatisfyDoNotTakeAStanding(t *testing.T) {
	n := newNode(t, acceptAnything())
	n.obtained(t, tagged)
	decider := n.decider(t)
	wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
	const evil = "evil.example/app"
	for _, tag := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		n.obtained(t, evil+":"+tag)
		wantReason(t, decider.Decide(t.Context(), ask(evil+":"+tag)), policy.Accepted)
	}
	before := n.images.Load()
	wantReason(t, decider.Decide(t.Context(), ask(repository+":v2")), policy.Accepted)
	if n.images.Load() != before {
		t.Error("the image was examined again")
	}
}
