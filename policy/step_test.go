package policy_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// stepText formats a step in one line: what was judged, by which judge, and the result.
func stepText(step policy.Step) string {
	names := map[digest.Digest]string{"": "-"}
	for _, name := range []string{tagged, repository + ":v2", "other.example/app:v1"} {
		names[digestOf("manifest of "+name)] = "manifest of " + name
	}
	states := []string{"unknown", "found", "none", "failed"}
	requirement, judge, outcome := "-", "no judge", string(step.Finding.Reason)
	if step.Requirement != "" {
		requirement = fmt.Sprintf("%s[%d]", step.Requirement, step.Index)
	}
	if step.Judge != "" {
		judge = step.Judge
	}
	if step.Finding.Met {
		outcome = "met"
	}
	if step.Cached {
		outcome += ", cached"
	}
	return strings.Join([]string{
		step.Document, step.Reference, step.Scope, requirement, names[step.Manifest], states[step.Evidence.State], judge,
		outcome,
	}, " | ")
}

func TestEachRefusalIsExplainedByItsSteps(t *testing.T) {
	const one, two, other = tagged, repository + ":v2", "other.example/app:v1"
	const prefix = "/system.json | "
	problem := signedBy("carol")
	problem.Problem = "reading key file /keys/carol: no such file or directory"
	for name, test := range map[string]struct {
		list   []*policy.Requirement
		signed map[string]string
		change func(*node)
		ask    string
		reason policy.Reason
		want   []string
	}{
		"the policy rejects everything": {
			list: []*policy.Requirement{rejectAll()}, reason: policy.Rejected,
			want: []string{prefix + one + " |  | reject[0] | manifest of " + one + " | unknown | judge 1 | rejected"},
		},
		"nothing is signed": {
			list: []*policy.Requirement{signedBy("alice")}, reason: policy.Unsigned,
			want: []string{
				prefix + one + " |  | signedBy[0] | manifest of " + one + " | none | judge 1 | unsigned",
				prefix + one + " |  | signedBy[0] | manifest of " + two + " | none | judge 1 | unsigned",
			},
		},
		"another has signed": {
			list: []*policy.Requirement{signedBy("alice")}, signed: map[string]string{two: "mallory"}, reason: policy.Rejected,
			want: []string{
				prefix + one + " |  | signedBy[0] | manifest of " + one + " | none | judge 1 | unsigned",
				prefix + one + " |  | signedBy[0] | manifest of " + two + " | found | judge 1 | rejected",
			},
		},
		"the second of two requirements is not met": {
			list: []*policy.Requirement{signedBy("alice"), signedBy("bob")}, signed: map[string]string{one: "alice"},
			reason: policy.Rejected,
			want: []string{
				prefix + one + " |  | signedBy[0] | manifest of " + one + " | found | judge 1 | met",
				prefix + one + " |  | signedBy[1] | manifest of " + one + " | found | judge 1 | rejected",
				prefix + one + " |  | signedBy[1] | manifest of " + two + " | none | judge 1 | unsigned",
			},
		},
		"one that needs no evidence comes first": {
			list: []*policy.Requirement{signedBy("alice"), rejectAll()}, reason: policy.Rejected,
			want: []string{prefix + one + " |  | reject[1] | manifest of " + one + " | unknown | judge 1 | rejected"},
		},
		"evidence is being fetched": {
			list: []*policy.Requirement{signedBy("alice")}, signed: map[string]string{one: "?", two: "mallory"},
			reason: policy.Pending,
			want: []string{
				prefix + one + " |  | signedBy[0] | manifest of " + one + " | unknown | no judge | pending",
				prefix + one + " |  | signedBy[0] | manifest of " + two + " | found | judge 1 | rejected",
			},
		},
		"evidence could not be fetched": {
			list: []*policy.Requirement{signedBy("alice")}, signed: map[string]string{one: "!", two: "!"},
			reason: policy.Unavailable,
			want: []string{
				prefix + one + " |  | signedBy[0] | manifest of " + one + " | failed | no judge | unavailable",
				prefix + one + " |  | signedBy[0] | manifest of " + two + " | failed | no judge | unavailable",
			},
		},
		"a key file cannot be read": {
			list: []*policy.Requirement{problem}, reason: policy.InvalidPolicy,
			want: []string{prefix + one + " |  | signedBy[0] | - | unknown | no judge | invalid-policy"},
		},
		"a requirement has no ID": {
			list: []*policy.Requirement{{Kind: policy.Reject}}, reason: policy.Internal,
			want: []string{prefix + one + " |  | reject[0] | - | unknown | no judge | internal"},
		},
		"a requirement is of a kind without a judge": {
			list: []*policy.Requirement{{Kind: "foreign", ID: "x"}}, reason: policy.Internal,
			want: []string{prefix + one + " |  | foreign[0] | manifest of " + one + " | unknown | no judge | internal"},
		},
		"a judge finds nothing": {
			list: []*policy.Requirement{signedBy("alice")}, signed: map[string]string{one: "alice", two: "alice"},
			change: func(n *node) { n.judge = answering(policy.Finding{}) }, reason: policy.Internal,
			want: []string{
				prefix + one + " |  | signedBy[0] | manifest of " + one + " | found | judge 1 | internal",
				prefix + one + " |  | signedBy[0] | manifest of " + two + " | found | judge 1 | internal",
			},
		},
		"the list is empty": {
			list: nil, reason: policy.InvalidPolicy,
			want: []string{prefix + one + " |  | - | manifest of " + one + " | unknown | no judge | invalid-policy"},
		},
		"there is no document": {
			change: func(n *node) {
				n.set.Store(&policy.Set{System: policy.Source{Name: "/bad.json", Err: errors.New("bad")}})
			},
			reason: policy.InvalidPolicy, want: []string{"/bad.json |  |  | - | - | unknown | no judge | invalid-policy"},
		},
		"an invalid question": {
			list: []*policy.Requirement{acceptAnything()}, ask: "/", reason: policy.BadRequest,
			want: []string{prefix + " |  | - | - | unknown | no judge | bad-request"},
		},
		"the image cannot be found": {
			list: []*policy.Requirement{acceptAnything()}, reason: policy.Internal,
			change: func(n *node) {
				n.image = func(context.Context, policy.Question) (*policy.Image, error) { return nil, errors.New("refused") }
			},
			want: []string{prefix + " |  | - | - | unknown | no judge | internal"},
		},
		"the image was pulled under another name": {
			list: []*policy.Requirement{acceptAnything()}, ask: other, reason: policy.UnknownOrigin,
			want: []string{prefix + " |  | - | - | unknown | no judge | unknown-origin"},
		},
		"the image was pulled under another tag than the scope's": {
			change: func(n *node) {
				n.runs(imageOf(t, two))
				d := document("/system.json", rejectAll())
				d.Scopes = map[string][]*policy.Requirement{one: {acceptAnything()}}
				n.store(d)
			},
			reason: policy.UnknownOrigin,
			want:   []string{prefix + one + " | " + one + " | - | - | unknown | no judge | unknown-origin"},
		},
		"a refusal is not confirmed yet": {
			list: []*policy.Requirement{rejectAll()}, reason: policy.Pending,
			change: func(n *node) {
				image := imageOf(t, one)
				image.Confirmed = false
				n.runs(image)
			},
			want: []string{
				prefix + one + " |  | reject[0] | manifest of " + one + " | unknown | judge 1 | rejected",
				prefix + one + " |  | - | manifest of " + one + " | unknown | no judge | pending",
			},
		},
		"a scope was probably meant and cannot match": {
			change: func(n *node) {
				d := document("/system.json", rejectAll())
				d.Dead = map[string]*policy.DeadScope{"https://" + repository: {Why: "a protocol", Instead: repository}}
				n.store(d)
			},
			reason: policy.Rejected,
			want: []string{
				prefix + one + " |  | reject[0] | manifest of " + one + " | unknown | judge 1 | rejected",
				prefix + one + " |  | - | - | unknown | no judge | rejected",
			},
		},
		"something panics": {
			list: []*policy.Requirement{signedBy("alice")}, signed: map[string]string{one: "alice"},
			change: func(n *node) { n.judge = nil }, reason: policy.Internal,
			want: []string{prefix + one + " |  | signedBy[0] | manifest of " + one + " | found | no judge | internal"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, test.list...)
			n.runs(imageOf(t, one, two))
			n.signed(test.signed)
			if test.change != nil {
				test.change(n)
			}
			question := ask(tagged)
			if test.ask != "" {
				question = ask(test.ask)
			}
			verdict, steps := explained(t.Context(), n.decider(t), question)
			wantReason(t, verdict, test.reason)
			wantSteps(t, steps, test.want)
			wantDetailOfSteps(t, verdict, steps)
		})
	}
}

// explained returns the verdict and the steps of an explanation.
func explained(ctx context.Context, d *policy.Decider, q policy.Question) (policy.Verdict, []policy.Step) {
	explanation := d.Explain(ctx, q)
	return explanation.Verdict, explanation.Steps
}

func wantSteps(t *testing.T, steps []policy.Step, want []string) {
	t.Helper()
	var got []string
	for _, step := range steps {
		got = append(got, stepText(step))
	}
	if !slices.Equal(got, want) {
		t.Errorf("the steps are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// wantDetailOfSteps fails unless some step explains the verdict: it has the verdict's reason and a part of its detail.
func wantDetailOfSteps(t *testing.T, verdict policy.Verdict, steps []policy.Step) {
	t.Helper()
	says := func(step policy.Step) bool {
		return step.Finding.Reason == verdict.Reason && strings.Contains(verdict.Detail, step.Finding.Detail)
	}
	if !verdict.Admitted() && !slices.ContainsFunc(steps, says) {
		t.Errorf("no step explains %s: %s", verdict.Reason, verdict.Detail)
	}
}

func TestEachReferenceOfAnImageIDHasItsSteps(t *testing.T) {
	const other = "other.example/app:v1"
	n := newNode(t, signedBy("alice"))
	n.runs(imageOf(t, tagged, other))
	n.signed(map[string]string{other: "alice"})
	verdict, steps := explained(t.Context(), n.decider(t), ask(digestOf("config").String()))
	wantReason(t, verdict, policy.Accepted)
	// The first reference has that manifest too, after its own.
	wantSteps(t, steps, []string{
		"/system.json | " + tagged + " |  | signedBy[0] | manifest of " + tagged + " | none | judge 1 | unsigned",
		"/system.json | " + tagged + " |  | signedBy[0] | manifest of " + other + " | found | judge 1 | met",
	})
}

func TestStepsHaveEachJudgesFindingAndWhetherItWasCached(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.signed(map[string]string{tagged: "mallory"})
	sources := n.sources()
	sources.Kinds.AddJudge(policy.SignedBy, policy.Judge{Name: "bundle", Func: bundles})
	decider := newDecider(t, sources)
	const step = "/system.json | " + tagged + " |  | signedBy[0] | manifest of " + tagged + " | found | "
	verdict, steps := explained(t.Context(), decider, ask(tagged))
	wantSteps(t, steps, []string{step + "judge 1 | rejected", step + "bundle | rejected"})
	again, steps := explained(t.Context(), decider, ask(tagged))
	wantSteps(t, steps, []string{step + "judge 1 | rejected, cached", step + "bundle | rejected, cached"})
	const detail = "not signed by alice; another key's bundle"
	if verdict.Detail != detail || again.Detail != detail || verdict.Cached || !again.Cached {
		t.Errorf("%+v\n%+v", verdict, again)
	}
	if steps[0].Finding.Detail+"; "+steps[1].Finding.Detail != detail || steps[0].Evidence.Directory != "mallory" {
		t.Errorf("steps %+v", steps)
	}
	if n.judged.Load() != 1 {
		t.Errorf("the judge was called %d times", n.judged.Load())
	}
}

func TestAnAdmissionIsExplainedFromTheCacheOfFindings(t *testing.T) {
	n := newNode(t, acceptAnything(), signedBy("alice"))
	n.signed(map[string]string{tagged: "alice"})
	decider := n.decider(t)
	wantReason(t, decider.Decide(t.Context(), ask(tagged)), policy.Accepted)
	verdict, steps := explained(t.Context(), decider, ask(tagged))
	wantReason(t, verdict, policy.Accepted)
	wantSteps(t, steps, []string{
		"/system.json | " + tagged + " |  | insecureAcceptAnything[0] | manifest of " + tagged +
			" | unknown | judge 1 | met, cached",
		"/system.json | " + tagged + " |  | signedBy[1] | manifest of " + tagged + " | found | judge 1 | met, cached",
	})
}

// TestExplainDecidesAsDecideDoes compares the verdicts on random questions about random nodes, of two deciders with
// empty caches and of one with full caches.
func TestExplainDecidesAsDecideDoes(t *testing.T) {
	references := []string{tagged, repository + ":v2", "other.example/app:v1", "mirror.example/a/b:x"}
	signers := []string{"", "alice", "bob", "alice bob", "mallory", "nameless", "bundle", "?", "!"}
	requirements := []*policy.Requirement{
		acceptAnything(), rejectAll(), signedBy("alice"), signedBy("bob"), signedBy("carol"),
		{ID: "problem", Kind: policy.SignedBy, Problem: "no key", NeedsEvidence: true},
		{ID: "x", Kind: "foreign"},
	}
	asks := append(slices.Clone(references), digestOf("config").String(), "", "sha256:ab12", repository+"@"+
		digestOf("manifest of "+tagged).String())
	reasons := map[policy.Reason]int{}
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 0))
		n := randomNode(t, random, references, signers, requirements)
		sources := n.sources()
		sources.Kinds.AddJudge(policy.SignedBy, policy.Judge{Name: "bundle", Func: bundles})
		sources.NoIdentity = func(namespace string) bool { return namespace == "legacy" }
		one, two := newDecider(t, sources), newDecider(t, sources)
		for range 3 {
			question := ask(asks[random.IntN(len(asks))])
			question.Namespace = []string{"prod", "legacy", "Bad"}[random.IntN(3)]
			want := one.Decide(t.Context(), question)
			got, steps := explained(t.Context(), two, question)
			known, _ := explained(t.Context(), one, question)
			got.Cached, known.Cached = want.Cached, want.Cached
			if got != want || known != want {
				t.Fatalf("seed %d: %+v is explained as\n%+v\nand as\n%+v", seed, want, got, known)
			}
			if len(steps) == 0 {
				t.Fatalf("seed %d: no steps of %+v", seed, want)
			}
			if !strings.Contains(want.Detail, "(the requirement's keys") {
				wantDetailOfSteps(t, want, steps)
			}
			reasons[want.Reason]++
		}
	}
	for _, reason := range policy.Reasons() {
		if reasons[reason] == 0 {
			t.Errorf("no question was answered by %s", reason)
		}
	}
}

// randomNode has some of the references, each with random signers, and a policy of one or two requirements per scope.
func randomNode(
	t *testing.T, random *rand.Rand, references, signers []string, requirements []*policy.Requirement,
) *node {
	t.Helper()
	list := func() []*policy.Requirement {
		var list []*policy.Requirement
		for range 1 + random.IntN(2) {
			list = append(list, requirements[random.IntN(len(requirements))])
		}
		return list
	}
	n := newNode(t)
	d := document("/system.json", list()...)
	d.Scopes = map[string][]*policy.Requirement{}
	var originals []string
	signed := map[string]string{}
	for _, ref := range references {
		if random.IntN(3) > 0 {
			originals = append(originals, ref)
		}
		if by := signers[random.IntN(len(signers))]; by != "" {
			signed[ref] = by
		}
		if random.IntN(3) == 0 {
			named, _ := reference.ParseNormalizedNamed(ref)
			d.Scopes[[]string{ref, named.Name(), reference.Domain(named)}[random.IntN(3)]] = list()
		}
	}
	image := imageOf(t, originals...)
	image.Confirmed = random.IntN(4) > 0
	n.runs(image)
	n.signed(signed)
	n.store(d)
	return n
}

func TestADecisionWithStepsUsesAllCaches(t *testing.T) {
	n := newNode(t, signedBy("alice"))
	n.signed(map[string]string{tagged: "alice"})
	decider, q := n.decider(t), ask(tagged)
	first := decider.DecideWithSteps(t.Context(), q)
	wantReason(t, first.Verdict, policy.Accepted)
	if first.Cached || len(first.Steps) != 1 || first.Steps[0].At.IsZero() || first.ImageAt.After(first.Steps[0].At) {
		t.Errorf("the first decision is %+v", first)
	}
	second := decider.DecideWithSteps(t.Context(), q)
	wantReason(t, second.Verdict, policy.Accepted)
	if !second.Cached || len(second.Steps) != 0 || !second.ImageAt.IsZero() {
		t.Errorf("the second decision is %+v", second)
	}
}
