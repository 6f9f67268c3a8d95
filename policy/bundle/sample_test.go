package bundle_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

var _ policy.JudgeFunc = (*bundle.Judge)(nil).Judge

const (
	repository = "registry.example/team/app"
	tagged     = repository + ":v1"
)

var (
	builder  = bundletest.Identity{Email: "build@example.com", Issuer: "https://issuer.example"}
	manifest = signaturetest.Manifest("app")
	subject  = digest.FromBytes(manifest)
)

// sample is an image with bundles in a directory.
type sample struct {
	manifest policy.Manifest
	evidence policy.Evidence
}

// newSample writes bundles of an image. Nothing about them is cached.
func newSample(t testing.TB, manifest []byte, bundles ...[]byte) sample {
	t.Helper()
	described, evidence := signaturetest.Image(t, manifest, nil, bundles)
	return sample{described, evidence}
}

// required returns a requirement of a document, parsed by package signature as for a decision.
func required(t testing.TB, members map[string]any) *policy.Requirement {
	t.Helper()
	return parse(t, data(members))
}

func parse(t testing.TB, requirement string) *policy.Requirement {
	t.Helper()
	read := func(string) ([]byte, error) { return nil, errors.New("no files here") }
	document, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(`{"default":[`+requirement+`]}`), read)
	if err != nil {
		t.Fatal(err)
	}
	return document.Default[0]
}

// data encodes a value in JSON, with byte slices in base64.
func data(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func named(t testing.TB, s string) reference.Named {
	t.Helper()
	ref, err := policy.Normalize(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// request returns a request about the image.
func (s *sample) request(requirement *policy.Requirement, ref reference.Named) policy.JudgeRequest {
	return policy.JudgeRequest{Requirement: requirement, Reference: ref, Manifest: s.manifest, Evidence: s.evidence}
}

// judge calls a judge with empty caches, for the image under its tag.
func (s sample) judge(t testing.TB, requirement *policy.Requirement) policy.Finding {
	t.Helper()
	return bundle.NewJudge().Judge(t.Context(), s.request(requirement, named(t, tagged)))
}

// reason returns the reason of a finding, Accepted if the requirement is met, and "nameless" if it lacks only a name.
func reason(finding policy.Finding) policy.Reason {
	switch {
	case finding.Met:
		return policy.Accepted
	case finding.NoIdentity:
		return nameless
	default:
		return finding.Reason
	}
}

const nameless policy.Reason = "nameless"

// wantFinding compares a finding with its reason and a part of its detail.
func wantFinding(t *testing.T, finding policy.Finding, want policy.Reason, detail string) {
	t.Helper()
	if got := reason(finding); got != want || !strings.Contains(finding.Detail, detail) {
		t.Errorf("%s: %q; want %s: %q", got, finding.Detail, want, detail)
	}
	if finding.NoIdentity && finding.Reason != policy.Rejected {
		t.Errorf("nameless, and %s", finding.Reason)
	}
}
