package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/policy"
)

func verdictOf(reason policy.Reason) policy.Verdict {
	verdict := policy.Verdict{Reason: reason}
	if reason == policy.Accepted {
		verdict.Outcome = policy.Admit
	}
	return verdict
}

func outcome(reason policy.Reason) daemon.Outcome { return daemon.VerdictOf(verdictOf(reason)).Outcome }

func TestNamespacesAreDividedByTheVerdictAfterAChange(t *testing.T) {
	accepted, denied, unknown := outcome(policy.Accepted), outcome(policy.Rejected), outcome(policy.Pending)
	before := []policy.InventoryVerdict{
		{Verdict: verdictOf(policy.Accepted), Namespaces: []string{"c", "a", "b"}},
		{Verdict: verdictOf(policy.Rejected), Namespaces: []string{"d"}},
	}
	after := []policy.InventoryVerdict{
		{Verdict: verdictOf(policy.Rejected), Namespaces: []string{"b"}},
		{Verdict: verdictOf(policy.Pending), Namespaces: []string{"c"}},
		{Verdict: verdictOf(policy.Accepted), Namespaces: []string{"a", "d"}},
	}
	want := []inventoryVerdict{
		{Outcome: accepted, Namespaces: []string{"a"}, After: &accepted},
		{Outcome: accepted, Namespaces: []string{"b"}, After: &denied},
		{Outcome: accepted, Namespaces: []string{"c"}, After: &unknown},
		{Outcome: denied, Namespaces: []string{"d"}, After: &accepted},
	}
	if diff := cmp.Diff(want, compareVerdicts(before, after)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want = []inventoryVerdict{
		{Outcome: accepted, Namespaces: []string{"a", "b", "c"}}, {Outcome: denied, Namespaces: []string{"d"}},
	}
	if diff := cmp.Diff(want, compareVerdicts(before, nil)); diff != "" {
		t.Errorf("without a change (-want +got):\n%s", diff)
	}
}

func TestImagesWithTheSameLayersMustAllBeAccepted(t *testing.T) {
	one, other := digest.FromString("one"), digest.FromString("other")
	accepted, rejected, pending := verdictOf(policy.Accepted), verdictOf(policy.Rejected), verdictOf(policy.Pending)
	verdicts := map[digest.Digest][]policy.InventoryVerdict{
		one: {{Verdict: accepted, Namespaces: []string{"a", "b", "c"}}, {Verdict: rejected, Namespaces: []string{"d"}}},
		other: {
			{Verdict: accepted, Namespaces: []string{"a", "d"}},
			{Verdict: rejected, Namespaces: []string{"b"}},
			{Verdict: pending, Namespaces: []string{"c"}},
		},
	}
	var many []digest.Digest
	for i := range 65 {
		many = append(many, digest.FromString(strconv.Itoa(i)))
	}
	for name, test := range map[string]struct {
		configs []digest.Digest
		want    map[string]policy.Reason
	}{
		"one image": {[]digest.Digest{one}, map[string]policy.Reason{
			"a": policy.Accepted, "b": policy.Accepted, "c": policy.Accepted, "d": policy.Rejected,
		}},
		"two images": {[]digest.Digest{one, other}, map[string]policy.Reason{
			"a": policy.Accepted, "b": policy.Rejected, "c": policy.Pending, "d": policy.Rejected,
		}},
		"no image": {nil, map[string]policy.Reason{
			"a": policy.UnknownOrigin, "b": policy.UnknownOrigin, "c": policy.UnknownOrigin, "d": policy.UnknownOrigin,
		}},
		"more images than are evaluated": {many, map[string]policy.Reason{
			"a": policy.UnknownOrigin, "b": policy.UnknownOrigin, "c": policy.UnknownOrigin, "d": policy.UnknownOrigin,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]policy.Reason{}
			found := decideAlike(test.configs, []string{"a", "b", "c", "d"},
				func(config digest.Digest) []policy.InventoryVerdict { return verdicts[config] })
			for _, verdict := range found {
				for _, namespace := range verdict.Namespaces {
					got[namespace] = verdict.Verdict.Reason
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheExitStatusOfAnInventory(t *testing.T) {
	accepted, denied, unknown := outcome(policy.Accepted), outcome(policy.Rejected), outcome(policy.Pending)
	for name, test := range map[string]struct {
		running []inventoryRunner
		want    int
	}{
		"nothing runs":                  {nil, exitAdmitted},
		"all are admitted":              {[]inventoryRunner{{Outcome: accepted}}, exitAdmitted},
		"one is denied":                 {[]inventoryRunner{{Outcome: unknown}, {Outcome: denied}}, exitDenied},
		"one is unknown":                {[]inventoryRunner{{Outcome: accepted}, {Outcome: unknown}}, exitUnknown},
		"one would be denied":           {[]inventoryRunner{{Outcome: accepted, After: &denied}}, exitDenied},
		"one would be unknown":          {[]inventoryRunner{{Outcome: accepted, After: &unknown}}, exitUnknown},
		"one would be admitted":         {[]inventoryRunner{{Outcome: denied, After: &accepted}}, exitAdmitted},
		"one is denied before and then": {[]inventoryRunner{{Outcome: denied, After: &denied}}, exitAdmitted},
	} {
		t.Run(name, func(t *testing.T) {
			if got := (&takenInventory{Running: test.running}).status(); got != test.want {
				t.Errorf("it is %d, want %d", got, test.want)
			}
		})
	}
}

func TestTheTextOfAnInventory(t *testing.T) {
	accepted, denied := outcome(policy.Accepted), outcome(policy.Unsigned)
	taken := takenInventory{
		Namespaces: []string{"dev", "prod"},
		Images: []inventoryImage{{Reference: "registry.example/app:v1", Running: 2, Verdicts: []inventoryVerdict{
			{Outcome: accepted, Namespaces: []string{"dev"}, After: &denied},
			{Outcome: denied, Namespaces: []string{"prod"}, After: &denied},
		}}},
		Running: []inventoryRunner{
			{
				Namespace: "dev", Pod: "web", Container: "app", Reference: "registry.example/app:v1",
				Outcome: accepted, After: &denied,
			},
			{
				Namespace: "prod", Pod: "web", Container: "app", Reference: "registry.example/app:v1",
				Outcome: denied, After: &denied,
			},
		},
	}
	const plain = `registry.example/app:v1 (2 running)
  admitted (accepted): dev
  denied (unsigned): prod
runs, and is denied (unsigned): registry.example/app:v1 in prod/web/app
1 images, 2 running containers, 2 namespaces
`
	if diff := cmp.Diff(plain, taken.text()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	taken.Compared = true
	const compared = "running container would be denied (unsigned), and is admitted (accepted): " +
		`registry.example/app:v1 in dev/web/app
image would be denied (unsigned), and is admitted (accepted): registry.example/app:v1 in dev
1 of 2 running containers would have another verdict, and 1 pairs of 1 images and 2 namespaces; nothing was changed
`
	if diff := cmp.Diff(compared, taken.text()); diff != "" {
		t.Errorf("compared (-want +got):\n%s", diff)
	}
}

func TestNamespacesOfAnInventoryRunContainersOrHaveADocument(t *testing.T) {
	set := func(namespaces ...string) *judged {
		of := &judged{set: &policy.Set{Namespaces: map[string]policy.Source{}}}
		for _, namespace := range namespaces {
			of.set.Namespaces[namespace] = policy.Source{}
		}
		return of
	}
	take := taking{
		view: &nodeView{running: []runningContainer{
			{Container: containerd.Container{Namespace: "runs"}}, {Container: containerd.Container{Namespace: "both"}},
		}},
		before: set("both", "removed"), after: set("both", "added"),
	}
	if diff := cmp.Diff([]string{"added", "both", "removed", "runs"}, take.namespaces()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAnInventoryShowsWhatPoliciesInAuditModeWouldRefuse also after a change, which divides namespaces by it.
func TestAnInventoryShowsWhatPoliciesInAuditModeWouldRefuse(t *testing.T) {
	audited := verdictOf(policy.Accepted)
	audited.WouldDeny = &policy.Verdict{Reason: policy.Unsigned, Detail: "no signature"}
	before := []policy.InventoryVerdict{{Verdict: audited, Namespaces: []string{"a", "b"}}}
	after := []policy.InventoryVerdict{
		{Verdict: audited, Namespaces: []string{"a"}}, {Verdict: verdictOf(policy.Accepted), Namespaces: []string{"b"}},
	}
	raw, err := json.Marshal(compareVerdicts(before, after))
	if err != nil {
		t.Fatal(err)
	}
	const verdict = `{"allowed":true,"reason":"accepted","would_deny_reason":"unsigned","scope":"",` +
		`"detail":"a policy in audit mode would refuse it (unsigned): no signature","namespaces":`
	want := `[` + verdict + `["a"],"after":{"allowed":true,"reason":"accepted","would_deny_reason":"unsigned"}},` +
		verdict + `["b"],"after":{"allowed":true,"reason":"accepted"}}]`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	shown := takenInventory{Images: []inventoryImage{{Reference: "a", Verdicts: compareVerdicts(before, nil)}}}
	const line = "admitted, and a policy in audit mode would refuse it (unsigned): a, b"
	if text := shown.text(); !strings.Contains(text, line) {
		t.Errorf("the text is\n%s", text)
	}
}
