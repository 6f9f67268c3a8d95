package policy_test

import (
	"context"
	"testing"

	"github.com/countersign/countersign/policy"
)

func TestARefusalIsNotFinalBeforeTheImageIsConfirmed(t *testing.T) {
	cases := map[string]struct {
		reference string
		signers   string
		final     policy.Reason
		confirmed int64
	}{
		"unsigned":           {tagged, "", policy.Unsigned, 1},
		"rejected":           {tagged, "bob", policy.Rejected, 1},
		"unavailable":        {tagged, "!", policy.Unavailable, 1},
		"unknown origin":     {"other.example/app", "alice", policy.UnknownOrigin, 1},
		"another image's ID": {"sha256:" + notPrefix(digestOf("config").String()), "alice", policy.UnknownOrigin, 1},
		"no reference":       {"App?", "alice", policy.BadRequest, 1},
		"accepted at once":   {tagged, "alice", policy.Accepted, 0},
		"pending anyway":     {tagged, "?", policy.Pending, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, signedBy("alice"))
			if c.signers != "" {
				n.signed(map[string]string{tagged: c.signers})
			}
			image := imageOf(t, tagged)
			image.Confirmed = false
			n.runs(image)
			decider := n.decider(t)
			first := decider.Decide(t.Context(), ask(c.reference))
			if c.confirmed == 0 {
				wantReason(t, first, c.final)
			} else {
				wantReason(t, first, policy.Pending)
			}
			if got := n.confirmed.Load(); got != c.confirmed {
				t.Fatalf("confirmation was requested %d times, want %d", got, c.confirmed)
			}
			n.runs(imageOf(t, tagged)) // confirmed
			wantReason(t, decider.Decide(t.Context(), ask(c.reference)), c.final)
			if got := n.confirmed.Load(); got != c.confirmed {
				t.Errorf("a confirmed image was confirmed again: %d times", got)
			}
		})
	}
}

func TestWithoutConfirmEveryImageCountsAsConfirmed(t *testing.T) {
	n := newNode(t, rejectAll())
	image := imageOf(t, tagged)
	image.Confirmed = false
	n.runs(image)
	sources := n.sources()
	sources.Confirm = nil
	wantReason(t, newDecider(t, sources).Decide(t.Context(), ask(tagged)), policy.Rejected)
}

func TestAConfirmationThatFindsAnotherReferenceAdmits(t *testing.T) {
	n := newNode(t, acceptAnything())
	stale := imageOf(t, "evil.example/app")
	stale.Confirmed = false
	n.runs(stale)
	sources := n.sources()
	sources.Confirm = func(q policy.Question) {
		if q != ask(tagged) {
			t.Errorf("confirming %+v", q)
		}
		n.image = func(context.Context, policy.Question) (*policy.Image, error) {
			return imageOf(t, "evil.example/app", tagged), nil
		}
	}
	decider := newDecider(t, sources)
	wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Pending)
	wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
}

func TestWithoutRefetchARefusalIsStillARefusal(t *testing.T) {
	sources := newNode(t, signedBy("alice")).sources()
	sources.Refetch = nil
	wantReason(t, newDecider(t, sources).Decide(t.Context(), ask(tagged)), policy.Unsigned)
}
