package bundle_test

import (
	"maps"
	"testing"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/internal/trustedroot/trustedroottest"
)

// attestation returns an attestation of the image by builder, which Rekor v2 and the timestamp authority have seen as
// selected.
func (d *deployment) attestation(t testing.TB, seen bundletest.Seen) []byte {
	t.Helper()
	key, certificate := d.Certify(t, builder)
	b := bundletest.SignStatement(t, key, provenanceOf(t, nil)).Certified(certificate)
	if seen.Log {
		d.Second.Record(t, b, nil)
	}
	if seen.Stamper {
		d.stamp(t, b)
	}
	return b.JSON(t)
}

// TestAttestationsByATrustedRoot: a trusted root means the same for attestations as for signatures.
func TestAttestationsByATrustedRoot(t *testing.T) {
	d, theirs := newDeployment(t), newDeployment(t)
	both := bundletest.Seen{Log: true, Stamper: true}
	full := d.attestation(t, both)
	ended := inPast(d.file, trustedroottest.Period{
		Start: time.Now().Add(-48 * time.Hour), End: time.Now().Add(-24 * time.Hour),
	})
	ended.Tlogs, ended.TimestampAuthorities = d.file.Tlogs, d.file.TimestampAuthorities
	for name, test := range map[string]struct {
		attestation []byte
		more        map[string]any
		want        policy.Reason
		detail      string
	}{
		"Rekor v2 and a timestamp": {full, nil, policy.Accepted, ""},
		"a timestamp, where no log is required": {
			d.attestation(t, bundletest.Seen{Stamper: true}), map[string]any{"tlog": "none"}, policy.Accepted, "",
		},
		"a true condition": {full, map[string]any{
			"where": "predicate.runDetails.builder.id.startsWith('https://github.com/')",
		}, policy.Accepted, ""},
		"a false condition": {full, map[string]any{
			"where": "predicate.runDetails.builder.id == 'x'",
		}, policy.Rejected, "the condition is not true for it"},
		"no timestamp": {
			d.attestation(t, bundletest.Seen{Log: true}), nil, policy.Rejected, "its log entry has no signed time",
		},
		"no log": {
			d.attestation(t, bundletest.Seen{Stamper: true}), nil, policy.Rejected, "it is recorded by no transparency log",
		},
		"neither, where no log is required": {
			d.attestation(t, bundletest.Seen{}), map[string]any{"tlog": "none"}, policy.Rejected, "it has no timestamp",
		},
		"other services": {theirs.attestation(t, both), nil, policy.Rejected, "by another log than the trusted root's"},
		"an authority of the past": {
			full,
			map[string]any{"trustedRootData": ended.JSON(t)},
			policy.Rejected, "no certificate authority of the trusted root is valid at",
		},
		"another identity": {full, map[string]any{
			"fulcio": map[string]any{"oidcIssuer": builder.Issuer, "subjectEmail": "eve@example.com"},
		}, policy.Rejected, "eve@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			requirement := d.rooted(t)
			requirement["type"], requirement["predicateType"] = "attested", slsa
			maps.Copy(requirement, test.more)
			finding := attestedSample(t, test.attestation).judge(t, required(t, requirement))
			wantFinding(t, finding, test.want, test.detail)
		})
	}
}
