package signature_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/distribution/reference"
	"go.podman.io/image/v5/directory"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/image"
	containers "go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

var (
	_ policy.ParseFunc = (*signature.Parser)(nil).Parse
	_ policy.JudgeFunc = (*signature.Judge)(nil).Judge
)

// sample is an image with signatures, in a directory that countersign and containers/image read.
type sample struct {
	manifest policy.Manifest
	evidence policy.Evidence
}

// newSample writes an image's manifest and its signature files.
func newSample(t testing.TB, manifest []byte, signatures ...[]byte) sample {
	t.Helper()
	described, evidence := signaturetest.Image(t, manifest, signatures, nil)
	return sample{described, evidence}
}

// fixture returns a test file of containers/image.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(fixturePath(name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func fixturePath(name string) string { return filepath.Join("testdata", "containers-image", name) }

// parse parses a document whose default is the given requirements.
func parse(t testing.TB, requirements string) []*policy.Requirement {
	t.Helper()
	document, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(`{"default":[`+requirements+`]}`), os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return document.Default
}

// sigstoreSigned returns a requirement with the given trust, and the identity if there is one.
func sigstoreSigned(trust, identity string) string {
	return signed(`"type":"sigstoreSigned",`+trust, identity)
}

// signedBy returns a requirement with the given keys, and the identity if there is one.
func signedBy(keys, identity string) string {
	return signed(`"type":"signedBy","keyType":"GPGKeys",`+keys, identity)
}

func signed(members, identity string) string {
	if identity != "" {
		members += `,"signedIdentity":` + identity
	}
	return "{" + members + "}"
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

// judgeAll judges a list of requirements like a decision: all must be met.
func judgeAll(t testing.TB, judge *signature.Judge, list []*policy.Requirement, ref reference.Named,
	s sample,
) policy.Finding {
	t.Helper()
	for _, requirement := range list {
		evidence := s.evidence
		if !requirement.NeedsEvidence {
			evidence = policy.Evidence{}
		}
		finding := judge.Judge(t.Context(), policy.JudgeRequest{
			Requirement: requirement, Reference: ref, Manifest: s.manifest, Evidence: evidence,
		})
		if !finding.Met {
			return finding
		}
	}
	return policy.Finding{Met: true}
}

// reason returns the reason of a finding, and Accepted if the requirement is met.
func reason(finding policy.Finding) policy.Reason {
	if finding.Met {
		return policy.Accepted
	}
	return finding.Reason
}

// bare evaluates a whole document with containers/image, in the documented way for images that were pulled before.
func bare(ctx context.Context, document *containers.Policy, ref reference.Named, s sample) error {
	identity, err := docker.NewReference(ref)
	if err != nil {
		return err
	}
	location, err := directory.NewReference(s.evidence.Directory)
	if err != nil {
		return err
	}
	source, err := location.NewImageSource(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	policyContext, err := containers.NewPolicyContext(document)
	if err != nil {
		return err
	}
	defer func() { _ = policyContext.Destroy() }()
	unparsed := image.UnparsedInstanceWithReference(image.UnparsedInstance(source, nil), identity)
	allowed, err := policyContext.IsRunningImageAllowed(ctx, unparsed)
	if err == nil && !allowed {
		return errors.New("denied without a reason")
	}
	return err
}

func containersPolicy(t testing.TB, document string) *containers.Policy {
	t.Helper()
	parsed, err := containers.NewPolicyFromBytes([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func rawURL(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
