package policy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/policy"
)

// bundles is a judge that finds a valid signature without a name if "nameless" has signed, and one with the right name
// if "bundle" has.
func bundles(_ context.Context, request policy.JudgeRequest) policy.Finding {
	switch {
	case strings.Contains(request.Evidence.Directory, "bundle"):
		return policy.Finding{Met: true}
	case strings.Contains(request.Evidence.Directory, "nameless"):
		return policy.Finding{Reason: policy.Rejected, NoIdentity: true, Detail: "it names no repository"}
	case request.Evidence.State == policy.None:
		return policy.Finding{Reason: policy.Unsigned, Detail: "no bundle"}
	default:
		return policy.Finding{Reason: policy.Rejected, Detail: "another key's bundle"}
	}
}

func TestASignatureWithoutANameSufficesOnlyIfConfigured(t *testing.T) {
	const one, two = repository + ":v1", repository + ":v2"
	cases := map[string]struct {
		signed        map[string]string
		strict, loose policy.Reason
		nameless      bool
		detail        string
	}{
		"a name that is right": {
			signed: map[string]string{one: "bundle"}, strict: policy.Accepted, loose: policy.Accepted,
		},
		"no name": {
			map[string]string{one: "nameless"}, policy.Rejected, policy.Accepted, true, "it names no repository",
		},
		"no name on the second manifest": {
			map[string]string{two: "nameless"}, policy.Rejected, policy.Accepted, true, "it names no repository",
		},
		"no name, and a rejected one": {
			map[string]string{one: "mallory", two: "nameless"},
			policy.Rejected, policy.Accepted, true,
			"it names no repository",
		},
		"no name, but the other judge is content": {
			signed: map[string]string{one: "nameless alice"}, strict: policy.Accepted, loose: policy.Accepted,
		},
		"another key": {
			map[string]string{one: "mallory"},
			policy.Rejected, policy.Rejected, false,
			"not signed by alice; another key's bundle",
		},
		"nothing": {nil, policy.Unsigned, policy.Unsigned, false, "no signature; no bundle"},
		"no name, and the other manifest's evidence is being fetched": {
			map[string]string{one: "nameless", two: "?"}, policy.Pending, policy.Accepted, false, "",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, signedBy("alice"))
			n.runs(imageOf(t, one, two))
			n.signed(c.signed)
			sources := n.sources()
			sources.Kinds.AddJudge(policy.SignedBy, policy.Judge{Name: "bundle", Func: bundles})
			sources.NoIdentity = func(namespace string) bool { return namespace == "legacy" }
			decider := newDecider(t, sources)
			question := ask(one)
			// Twice, in either order: no namespace gets an answer that was cached for the other.
			for range 2 {
				strict := decider.Decide(t.Context(), question)
				wantReason(t, strict, c.strict)
				if strict.NoIdentity != c.nameless {
					t.Errorf("nameless is %t, want %t", strict.NoIdentity, c.nameless)
				}
				if c.detail != "" && strict.Detail != c.detail {
					t.Errorf("detail %q, want %q", strict.Detail, c.detail)
				}
				legacy := question
				legacy.Namespace = "legacy"
				wantReason(t, decider.Decide(t.Context(), legacy), c.loose)
			}
		})
	}
}

func TestOnlyARejectionMayLackANameOnly(t *testing.T) {
	past := time.Now().Add(-time.Second)
	for name, finding := range map[string]policy.Finding{
		"met":                        {Met: true, NoIdentity: true, Reason: policy.Rejected},
		"unsigned":                   {Reason: policy.Unsigned, NoIdentity: true},
		"unavailable":                {Reason: policy.Unavailable, NoIdentity: true},
		"pending":                    {Reason: policy.Pending, NoIdentity: true},
		"without a reason":           {NoIdentity: true},
		"rejected, but no longer so": {Reason: policy.Rejected, NoIdentity: true, ExpiresAt: past},
		"of a broken policy":         {Reason: policy.InvalidPolicy, NoIdentity: true},
		"of a judge with a bug":      {Reason: policy.Internal, NoIdentity: true},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, signedBy("alice"))
			n.signed(map[string]string{tagged: "mallory"})
			n.judge = func(context.Context, policy.JudgeRequest) policy.Finding {
				return finding
			}
			sources := n.sources()
			sources.NoIdentity = func(string) bool { return true }
			wantReason(t, newDecider(t, sources).Decide(t.Context(), ask(tagged)), policy.Internal)
		})
	}
}
