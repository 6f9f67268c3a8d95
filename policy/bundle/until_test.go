package bundle_test

import (
	"crypto/x509"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// TestFindingsExpire. The clock is fake.
func TestFindingsExpire(t *testing.T) {
	lives := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
	}
	for name, test := range map[string]struct {
		change func(*x509.Certificate)
		want   policy.Reason
		lasts  time.Duration
	}{
		"a certificate for long":          {lives(-time.Hour, 10*time.Hour), policy.Accepted, time.Hour},
		"one that ends within the hour":   {lives(-time.Hour, 20*time.Minute), policy.Accepted, 20*time.Minute + 1},
		"one that begins within the hour": {lives(30*time.Minute, 2*time.Hour), policy.Rejected, 30 * time.Minute},
		"one that begins later":           {lives(90*time.Minute, 2*time.Hour), policy.Rejected, time.Hour},
		"one that has ended":              {lives(-2*time.Hour, -time.Hour), policy.Rejected, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, key := newCompany(t), bundletest.NewKey(t)
				app := newSample(t, manifest, ours.sign(t, key, test.change).JSON(t))
				finding := app.judge(t, required(t, ours.requirement(builder.Email, "")))
				wantFinding(t, finding, test.want, "")
				if lasts := time.Until(finding.ExpiresAt); lasts != test.lasts {
					t.Errorf("it lasts %s, want %s", lasts, test.lasts)
				}
				time.Sleep(test.lasts)
				later := app.judge(t, required(t, ours.requirement(builder.Email, "")))
				if changed := reason(later) != test.want; changed != (test.lasts < time.Hour) {
					t.Errorf("then it is %s: %s", reason(later), later.Detail)
				}
			})
		})
	}
}

// TestFindingsByTheLogsTimeDoNotExpire: keys do not expire, and a year later a certificate for ten minutes is still
// accepted, by the time that the log has signed.
func TestFindingsByTheLogsTimeDoNotExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, sigstore := bundletest.NewKey(t), bundletest.NewSigstore(t)
		byKey := newSample(t, manifest, bundletest.Sign(t, key, subject, tagged).JSON(t))
		keyless := newSample(t, manifest, sigstore.Sign(t, builder, subject, tagged).JSON(t))
		for range 2 {
			for _, test := range []struct {
				app         sample
				requirement *policy.Requirement
				want        policy.Reason
			}{
				{byKey, required(t, key.Requirement(t)), policy.Accepted},
				{keyless, required(t, sigstore.Requirement(t, builder)), policy.Accepted},
				{keyless, required(t, key.Requirement(t)), policy.Rejected},
			} {
				finding := test.app.judge(t, test.requirement)
				wantFinding(t, finding, test.want, "")
				if !finding.ExpiresAt.IsZero() {
					t.Errorf("it lasts until %s", finding.ExpiresAt)
				}
			}
			time.Sleep(365 * 24 * time.Hour)
		}
	})
}
