package daemon

import (
	"context"
	"errors"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/policy"
)

func TestThePolicyOfTheCanariesAdmitsOneImage(t *testing.T) {
	source := canaryPolicy(PolicyParser(RequirementKinds(nil)))
	if source.Err != nil || source.Document == nil {
		t.Fatalf("it does not parse: %v", source.Err)
	}
	for image, want := range map[string]policy.Kind{
		policy.AdmittedCanary:                        policy.InsecureAcceptAnything,
		policy.RefusedCanary:                         policy.Reject,
		"countersign.invalid/canary/admitted/more:1": policy.InsecureAcceptAnything,
		"countersign.invalid/canary/admitted2:1":     policy.Reject,
		"registry.example/canary/admitted:1":         policy.Reject,
	} {
		named, err := policy.Normalize(image)
		if err != nil {
			t.Fatal(err)
		}
		_, list := source.Document.Select(named)
		if len(list) != 1 || list[0].Kind != want || list[0].ID == "" {
			t.Errorf("%s requires %v, want %s", image, list, want)
		}
	}
}

func TestAnInvalidPolicyOfTheCanariesDenies(t *testing.T) {
	failed := errors.New("invalid")
	parse := func([]byte, func(string) ([]byte, error)) (*policy.Document, error) { return nil, failed }
	set := &policy.Set{Canary: canaryPolicy(parse)}
	if document, err := set.For(policy.CanaryNamespace); document != nil || err == nil {
		t.Errorf("they have %v", document)
	}
}

// TestOtherDocumentsDoNotSeeTheCanaries: their policy concerns no pull and no fetch.
func TestOtherDocumentsDoNotSeeTheCanaries(t *testing.T) {
	parse := PolicyParser(RequirementKinds(nil))
	document, err := parse([]byte(`{"default": [{"type": "reject"}]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	set := &policy.Set{System: policy.Source{Document: document}, Canary: canaryPolicy(parse)}
	decider, err := policy.NewDecider(policy.Sources{
		Documents: func() *policy.Set { return set }, Kinds: RequirementKinds(nil),
		Image:  func(context.Context, policy.Question) (*policy.Image, error) { return nil, errors.New("none") },
		Lookup: func([]policy.Manifest, reference.Named) policy.StoredEvidence { return policy.StoredEvidence{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	named, err := policy.Normalize(policy.AdmittedCanary)
	if err != nil {
		t.Fatal(err)
	}
	verdict := decider.DecidePull(t.Context(), policy.PullQuestion{Reference: named})
	if verdict.Admitted() || verdict.Reason != policy.Rejected {
		t.Errorf("the pull of a canary is %s, and every document rejects it", verdict.Reason)
	}
}

func TestTheCanariesAreNeverInAuditMode(t *testing.T) {
	config := conf.Default()
	config.Enforce.Mode = conf.ModeAudit
	if config.Mode(policy.CanaryNamespace) != conf.ModeEnforce || config.Mode("prod") != conf.ModeAudit {
		t.Errorf("the modes are %s and %s", config.Mode(policy.CanaryNamespace), config.Mode("prod"))
	}
}
