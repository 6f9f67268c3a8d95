package signature_test

import (
	"context"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

// TestInvalidRequests: an invalid request gets a finding too, and it meets no requirement.
func TestInvalidRequests(t *testing.T) {
	app, good := signedApp(t)
	ended, end := context.WithCancel(t.Context())
	end()
	ref := named(t, appReference)
	for name, test := range map[string]struct {
		ctx         context.Context
		requirement *policy.Requirement
		ref         string
		want        policy.Reason
	}{
		"the time is up":           {ended, good, appReference, policy.Unavailable},
		"a requirement of nothing": {t.Context(), &policy.Requirement{}, appReference, policy.Internal},
		"a requirement in another way": {
			t.Context(), &policy.Requirement{JSON: []byte(`{}`)},
			appReference, policy.Internal,
		},
		"two requirements in one": {
			t.Context(),
			&policy.Requirement{JSON: []byte(`{"type":"insecureAcceptAnything"}],` +
				`"default":[{"type":"reject"}`)},
			appReference, policy.Internal,
		},
		"a requirement with a problem": {
			t.Context(), &policy.Requirement{
				Kind: "insecureAcceptAnything", Problem: "no key",
				JSON: []byte(`{"type":"insecureAcceptAnything"}`),
			},
			appReference, policy.InvalidPolicy,
		},
		// containers/image reads the image's signatures, and there are none.
		"a panic": {
			t.Context(), &policy.Requirement{Kind: good.Kind, JSON: good.JSON}, appReference, policy.Internal,
		},
		"accept": {t.Context(), parse(t, `{"type":"insecureAcceptAnything"}`)[0], appReference, policy.Accepted},
		"reject": {t.Context(), parse(t, `{"type":"reject"}`)[0], appReference, policy.Rejected},
		"a base layer": {
			t.Context(), parse(t, `{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}`)[0],
			appReference, policy.Rejected,
		},
	} {
		t.Run(name, func(t *testing.T) {
			evidence := policy.Evidence{}
			if test.requirement.NeedsEvidence {
				evidence = app.evidence
			}
			finding := signature.NewJudge().Judge(test.ctx, policy.JudgeRequest{
				Requirement: test.requirement, Reference: ref, Manifest: app.manifest, Evidence: evidence,
			})
			if got := reason(finding); got != test.want {
				t.Errorf("%s: %s; want %s", got, finding.Detail, test.want)
			}
		})
	}
	both, err := reference.ParseNormalizedNamed(appReference + "@" + app.manifest.Digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if finding := signature.NewJudge().Judge(t.Context(), app.request(good, both)); reason(finding) != policy.Internal {
		t.Errorf("a tag and a digest: %s: %s", reason(finding), finding.Detail)
	}
}

// TestRequirementsWithoutIDAreNotMixedUp: requirements from other code may lack an ID.
func TestRequirementsWithoutIDAreNotMixedUp(t *testing.T) {
	app, _ := signedApp(t)
	judge := signature.NewJudge()
	for kind, want := range map[string]policy.Reason{
		"insecureAcceptAnything": policy.Accepted,
		"reject":                 policy.Rejected,
	} {
		for range 2 {
			requirement := &policy.Requirement{JSON: []byte(`{"type":"` + kind + `"}`)}
			finding := judge.Judge(t.Context(), policy.JudgeRequest{
				Requirement: requirement, Reference: named(t, appReference), Manifest: app.manifest, Evidence: policy.Evidence{},
			})
			if reason(finding) != want {
				t.Errorf("%s: %s: %s", kind, reason(finding), finding.Detail)
			}
		}
	}
}
