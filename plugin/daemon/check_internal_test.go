package daemon

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// TestACheckDecidesAsTheCreationWould: where images are identified by layers, each image with the same layers counts.
func TestACheckDecidesAsTheCreationWould(t *testing.T) {
	signed, evil := digest.FromString("signed"), digest.FromString("evil")
	for name, test := range map[string]struct {
		foundBy policy.FoundBy
		alike   []digest.Digest
		err     error
		want    policy.Reason
	}{
		"the runtime reports images":            {policy.FoundByConfig, []digest.Digest{signed, evil}, nil, policy.Accepted},
		"not registered yet":                    {"", []digest.Digest{signed, evil}, nil, policy.Accepted},
		"no other image has its layers":         {policy.FoundByLayers, []digest.Digest{signed}, nil, policy.Accepted},
		"another one has them, and is unsigned": {policy.FoundByLayers, []digest.Digest{signed, evil}, nil, policy.Unsigned},
		"the others are not known": {
			policy.FoundByLayers, nil, policy.Refuse(policy.Unavailable, "connection refused"), policy.Unavailable,
		},
		"they cannot be listed": {policy.FoundByLayers, nil, errors.New("a fault"), policy.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []digest.Digest
			c := &checks{
				decide: func(_ context.Context, q policy.Question) policy.Verdict {
					asked = append(asked, q.Config)
					if q.Namespace != "prod" || q.Reference != "example.com/app:v1" {
						t.Errorf("decides about %v", q)
					}
					if q.Config == signed {
						return policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}
					}
					return policy.Verdict{Reason: policy.Unsigned}
				},
				advise:  func(policy.Verdict) string { return "" },
				mode:    func(string) string { return "enforce" },
				foundBy: func() policy.FoundBy { return test.foundBy },
				alike: func(context.Context, policy.Question) ([]digest.Digest, error) {
					return test.alike, test.err
				},
				signers: func(context.Context, policy.Question) []string { return []string{"alice"} },
				slots:   make(chan struct{}, 1),
			}
			answer, err := c.answer(t.Context(), CheckRequest{
				Namespace: "prod", Reference: "example.com/app:v1", Config: signed,
			})
			if err != nil {
				t.Fatal(err)
			}
			if answer.Reason != string(test.want) || answer.FoundBy != test.foundBy {
				t.Errorf("the answer is %s, found by %q; want %s, found by %q",
					answer.Reason, answer.FoundBy, test.want, test.foundBy)
			}
			if answer.Allowed != slices.Contains(answer.Signers, "alice") {
				t.Errorf("it is %s, and signed by %q", answer.Reason, answer.Signers)
			}
			if test.foundBy == policy.FoundByLayers && !slices.Equal(asked, test.alike) {
				t.Errorf("decided about %v, want %v", asked, test.alike)
			}
		})
	}
}
