package signature_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// certifiedApp is an image signed with a certificate that is valid for some time from now, of authorities that are
// valid for a year, and the requirement for it.
func certifiedApp(t *testing.T, from, to time.Duration) (sample, *policy.Requirement) {
	t.Helper()
	year := 365 * 24 * time.Hour
	now := time.Now()
	root := signaturetest.NewAuthority(t, "root", now.Add(-year), now.Add(year), nil)
	between := signaturetest.NewAuthority(t, "intermediate", now.Add(-year), now.Add(year), root)
	certificate := leaf(t, between, now.Add(from), now.Add(to))
	raw := signaturetest.Manifest("certified")
	app := newSample(t, raw, signaturetest.Sign(t, certificate.Key, appReference, digest.FromBytes(raw)).
		Certified(certificate, between, root).File(t))
	trust := `"pki":` + data(map[string]any{
		"caRootsData": root.PEM, "caIntermediatesData": between.PEM,
		"subjectEmail": "build@example.com", "subjectHostname": "build.example.com",
	})
	return app, parse(t, sigstoreSigned(trust, ""))[0]
}

// TestCertificatesAreJudgedNow: findings are valid until the next date of a certificate, and an hour at most.
func TestCertificatesAreJudgedNow(t *testing.T) {
	for name, test := range map[string]struct {
		from, to time.Duration
		met      bool
		lasts    time.Duration
	}{
		"valid for long":          {-time.Hour, 24 * time.Hour, true, time.Hour},
		"valid for a minute more": {-time.Hour, time.Minute, true, time.Minute + time.Nanosecond},
		"valid at this moment":    {-time.Hour, 0, true, time.Nanosecond},
		"expired":                 {-time.Hour, -time.Minute, false, time.Hour},
		"valid in a minute":       {time.Minute, time.Hour, false, time.Minute},
		"valid tomorrow":          {24 * time.Hour, 48 * time.Hour, false, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app, requirement := certifiedApp(t, test.from, test.to)
				checkLasting(t, app, requirement, test.met, test.lasts)
			})
		})
	}
}

// checkLasting judges immediately, just before the finding expires and, if it expires at a date, at that date.
func checkLasting(t *testing.T, app sample, requirement *policy.Requirement, met bool, lasts time.Duration) {
	t.Helper()
	judge := signature.NewJudge()
	ask := func() policy.Finding {
		return judge.Judge(t.Context(), app.request(requirement, named(t, appReference)))
	}
	finding := ask()
	if finding.Met != met {
		t.Fatalf("met: %t (%s)", finding.Met, finding.Detail)
	}
	if got := time.Until(finding.ExpiresAt); got != lasts {
		t.Fatalf("it lasts %s, want %s", got, lasts)
	}
	time.Sleep(lasts - time.Nanosecond)
	if again := ask(); again.Met != met {
		t.Error("it has changed before its time")
	}
	time.Sleep(time.Nanosecond)
	if again := ask(); lasts < time.Hour && again.Met == met {
		t.Error("it has not changed when its time was over")
	}
}

func TestGPGIsJudgedNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newGPGKey(t, &packet.Config{KeyLifetimeSecs: 90 * 60})
		raw := signaturetest.Manifest("app")
		app := newSample(t, raw, gpgSigned(t, key, digest.FromBytes(raw)))
		requirement := parse(t, signedBy(`"keyData":`+data(keyring(t, key)), ""))[0]
		judge := signature.NewJudge()
		for i, met := range []bool{true, true, false} {
			finding := judge.Judge(t.Context(), app.request(requirement, named(t, appReference)))
			if finding.Met != met {
				t.Errorf("after %d hours: met: %t (%s)", i, finding.Met, finding.Detail)
			}
			if lasts := time.Until(finding.ExpiresAt); lasts != time.Hour {
				t.Errorf("it lasts %s", lasts)
			}
			time.Sleep(time.Hour)
		}
	})
}

// TestKeyedAndKeylessDoNotExpire: a key has no dates, and certificates of Fulcio, including the authority's, are
// verified at the time at which the log recorded the signature.
func TestKeyedAndKeylessDoNotExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		log, key := signaturetest.NewKey(t), signaturetest.NewKey(t)
		authority := signaturetest.NewAuthority(t, "fulcio", now.Add(-time.Hour), now.Add(time.Hour), nil)
		certificate := signaturetest.IssueIdentity(t, authority, now, now.Add(10*time.Minute),
			signaturetest.Identity{Email: "build@example.com", Issuer: "https://accounts.example"})
		raw := signaturetest.Manifest("app")
		pinned := digest.FromBytes(raw)
		signedAt := func(at time.Time) sample {
			return newSample(t, raw, signaturetest.Sign(t, certificate.Key, appReference, pinned).
				Certified(certificate, authority).Logged(t, log, certificate.PEM, at).File(t))
		}
		publicLog := `,"rekorPublicKeyData":` + data(signaturetest.PublicPEM(t, log.Public()))
		keyless := sigstoreSigned(`"fulcio":`+data(map[string]any{
			"caData": authority.PEM, "oidcIssuer": "https://accounts.example", "subjectEmail": "build@example.com",
		})+publicLog, "")
		keyed := sigstoreSigned(`"keyData":`+data(signaturetest.PublicPEM(t, key.Public()))+publicLog, "")
		byKey := newSample(t, raw, signaturetest.Sign(t, key, appReference, pinned).
			Logged(t, log, signaturetest.PublicPEM(t, key.Public()), now).File(t))
		early, late := signedAt(now.Add(time.Minute)), signedAt(now.Add(11*time.Minute))
		for range 2 {
			for name, test := range map[string]struct {
				requirement string
				app         sample
				met         bool
			}{
				"by a key":                            {keyed, byKey, true},
				"keyless, while the certificate held": {keyless, early, true},
				"keyless, after the certificate":      {keyless, late, false},
				"keyless, but a key is required":      {keyed, early, false},
				"by a key, but keyless is required":   {keyless, byKey, false},
			} {
				finding := signature.NewJudge().Judge(t.Context(), policy.JudgeRequest{
					Requirement: parse(t, test.requirement)[0],
					Reference:   named(t, appReference),
					Manifest:    test.app.manifest,
					Evidence:    test.app.evidence,
				})
				if finding.Met != test.met || !finding.ExpiresAt.IsZero() {
					t.Errorf("%s: met: %t until %s (%s)", name, finding.Met, finding.ExpiresAt, finding.Detail)
				}
			}
			time.Sleep(5 * 365 * 24 * time.Hour)
		}
	})
}
