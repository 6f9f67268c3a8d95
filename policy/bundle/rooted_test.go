package bundle_test

import (
	"crypto"
	"crypto/elliptic"
	"testing"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/internal/trustedroot/trustedroottest"
)

// deployment is a set of services: an authority and a log of Rekor's first version, a log of the second, and a
// timestamp authority. sigstore-go's virtual Sigstore stands for Fulcio and Rekor, which need databases or accounts.
type deployment struct {
	*bundletest.Services

	file trustedroottest.File
}

func newDeployment(t testing.TB) *deployment {
	t.Helper()
	services := bundletest.NewServices(t)
	return &deployment{services, services.File(t)}
}

// rooted returns a requirement by the deployment's trusted root.
func (d *deployment) rooted(t testing.TB) map[string]any {
	t.Helper()
	return bundletest.Rooted(t, d.file, builder)
}

// unseen signs without a log and without a timestamp.
func (d *deployment) unseen(t testing.TB) bundletest.Bundle {
	t.Helper()
	key, certificate := d.Certify(t, builder)
	return bundletest.Sign(t, key, subject, tagged).Certified(certificate)
}

// stamp adds a timestamp of a minute after the certificate was issued.
func (d *deployment) stamp(t testing.TB, b bundletest.Bundle) {
	t.Helper()
	b.Stamp(d.Stamper.Stamp(t, b.GetDsseEnvelope().Signatures[0].Sig, time.Now().Add(time.Minute)))
}

// full signs as cosign does with a timestamp authority and Rekor v2.
func (d *deployment) full(t testing.TB) bundletest.Bundle {
	t.Helper()
	b := d.unseen(t)
	d.Second.Record(t, b, nil)
	d.stamp(t, b)
	return b
}

// TestBundlesThatATrustedRootAccepts: each way in which the time of a signature can be proven.
func TestBundlesThatATrustedRootAccepts(t *testing.T) {
	d := newDeployment(t)
	unlogged := d.rooted(t)
	unlogged["tlog"] = "none"
	key := bundletest.NewKey(t)
	byKey := key.Requirement(t)
	byKey["trustedRootData"] = d.file.JSON(t)
	p384 := bundletest.NewECDSA(t, elliptic.P384(), crypto.SHA384)
	byP384 := p384.Requirement(t)
	byP384["trustedRootData"] = d.file.JSON(t)
	keyUnlogged := key.Requirement(t)
	keyUnlogged["trustedRootData"], keyUnlogged["tlog"] = d.file.JSON(t), "none"
	keyed := func(changes ...func(bundletest.Bundle)) bundletest.Bundle {
		b := bundletest.Sign(t, key, subject, tagged)
		for _, change := range changes {
			change(b)
		}
		return b
	}
	with := func(b bundletest.Bundle, changes ...func(bundletest.Bundle)) bundletest.Bundle {
		for _, change := range changes {
			change(b)
		}
		return b
	}
	stamped := func(b bundletest.Bundle) { d.stamp(t, b) }
	second := func(b bundletest.Bundle) { d.Second.Record(t, b, key.Public()) }
	foreign := func(b bundletest.Bundle) {
		b.Stamp(trustedroottest.NewStamper(t, trustedroottest.Around()).
			Stamp(t, b.GetDsseEnvelope().Signatures[0].Sig, time.Now()))
	}
	for name, test := range map[string]struct {
		requirement map[string]any
		bundle      bundletest.Bundle
	}{
		"Rekor v2 and a timestamp": {d.rooted(t), d.full(t)},
		"Rekor's promise":          {d.rooted(t), d.Sign(t, builder, subject, tagged)},
		"Rekor's promise and a timestamp": {
			d.rooted(t), with(d.Sign(t, builder, subject, tagged), stamped),
		},
		"Rekor's proof without a promise, and a timestamp": {
			d.rooted(t), with(d.Sign(t, builder, subject, tagged), stamped, func(b bundletest.Bundle) {
				b.VerificationMaterial.TlogEntries[0].InclusionPromise = nil
			}),
		},
		"both logs": {d.rooted(t), with(d.Sign(t, builder, subject, tagged), second)},
		"a foreign timestamp next to the right one":    {d.rooted(t), with(d.full(t), foreign)},
		"a foreign timestamp next to a promise":        {d.rooted(t), with(d.Sign(t, builder, subject, tagged), foreign)},
		"two timestamps":                               {d.rooted(t), with(d.full(t), stamped)},
		"a timestamp, where no log is required":        {unlogged, with(d.unseen(t), stamped)},
		"a timestamp and a log, where none is":         {unlogged, d.full(t)},
		"a key and Rekor v2":                           {byKey, keyed(second)},
		"a key, Rekor v2 and a timestamp":              {byKey, keyed(second, stamped)},
		"a key and Rekor v2, with a foreign timestamp": {byKey, keyed(second, foreign)},
		"a key and Rekor's promise": {byKey, keyed(func(b bundletest.Bundle) {
			d.Record(t, b, key.PEM(t), time.Now())
		})},
		"a key on P-384 and Rekor v2": {byP384, with(bundletest.Sign(t, p384, subject, tagged), func(b bundletest.Bundle) {
			d.Second.Record(t, b, p384.Public())
		})},
		"a key and a timestamp, where no log is required": {keyUnlogged, keyed(stamped)},
	} {
		t.Run(name, func(t *testing.T) {
			finding := newSample(t, manifest, test.bundle.JSON(t)).judge(t, required(t, test.requirement))
			wantFinding(t, finding, policy.Accepted, "")
		})
	}
}

// TestATrustedRootNeedsEveryRequiredParty replaces each party once, or its period.
func TestATrustedRootNeedsEveryRequiredParty(t *testing.T) {
	d, theirs := newDeployment(t), newDeployment(t)
	full, promised, key := d.full(t), d.Sign(t, builder, subject, tagged), bundletest.NewKey(t)
	keyed := bundletest.Sign(t, key, subject, tagged)
	d.Second.Record(t, keyed, key.Public())
	past := trustedroottest.Period{Start: time.Now().Add(-48 * time.Hour), End: time.Now().Add(-24 * time.Hour)}
	from := d.file
	parts := func(authorities, logs, stampers trustedroottest.File) trustedroottest.File {
		made := trustedroottest.NewFile()
		made.CertificateAuthorities = authorities.CertificateAuthorities
		made.Tlogs, made.TimestampAuthorities = logs.Tlogs, stampers.TimestampAuthorities
		return made
	}
	expired := func() trustedroottest.File {
		return trustedroottest.NewFile().Log(t, past, d.Second.URL(), d.Second.Public())
	}
	none := func(requirement map[string]any) { requirement["tlog"] = "none" }
	same := func(map[string]any) {}
	for name, test := range map[string]struct {
		file   trustedroottest.File
		change func(map[string]any)
		bundle bundletest.Bundle
		detail string
	}{
		"another authority": {
			parts(theirs.file, from, from), same, full, "certificate signed by unknown authority",
		},
		"other logs":                  {parts(from, theirs.file, from), same, full, "by another log than the trusted root's"},
		"another timestamp authority": {parts(from, from, theirs.file), same, full, "its log entry has no signed time"},
		"an authority of the past": {
			parts(inPast(from, past), from, from), same, full, "no certificate authority of the trusted root is valid at",
		},
		"an authority of the past, and a promise": {
			parts(inPast(from, past), from, from), same, promised, "no certificate authority of the trusted root is valid at",
		},
		"a log of the past":            {parts(from, expired(), from), same, full, "is not valid at"},
		"a log of the past, for a key": {expired(), keyOnly(t, key), keyed, "is not valid at"},
		"a log of the past, and a promise": {
			parts(from, logsIn(t, d, past), from), same, promised, "not valid at payload integrated time",
		},
		"no timestamp, where no log is required": {from, none, promised, "it has no timestamp (RFC 3161)"},
		"another timestamp authority, where no log is required": {
			parts(from, from, theirs.file), none, full, "no timestamp in it counts",
		},
		"another address": {from, func(r map[string]any) {
			r["fulcio"] = map[string]any{"oidcIssuer": builder.Issuer, "subjectEmail": "eve@example.com"}
		}, full, "not for the e-mail address"},
		"another issuer": {from, func(r map[string]any) {
			r["fulcio"] = map[string]any{"oidcIssuer": "https://elsewhere.example", "subjectEmail": builder.Email}
		}, full, "the OIDC issuer in its certificate is"},
		"a workflow": {from, func(r map[string]any) {
			r["fulcio"] = map[string]any{"oidcIssuer": builder.Issuer, "subjectURI": "https://a.example/b"}
		}, full, "its certificate is for"},
		"a key": {from, same, keyed, "it is signed with a key"},
		"another repository": {from, func(r map[string]any) {
			r["signedIdentity"] = map[string]any{"type": "exactRepository", "dockerRepository": "registry.example/x"}
		}, full, "does not accept for"},
	} {
		t.Run(name, func(t *testing.T) {
			requirement := bundletest.Rooted(t, test.file, builder)
			test.change(requirement)
			parsed := required(t, requirement)
			if parsed.Problem != "" {
				t.Fatal(parsed.Problem)
			}
			wantFinding(t, newSample(t, manifest, test.bundle.JSON(t)).judge(t, parsed), policy.Rejected, test.detail)
		})
	}
}

// keyOnly makes a requirement trust a key instead of an identity.
func keyOnly(t *testing.T, key *bundletest.Key) func(map[string]any) {
	t.Helper()
	raw := key.PEM(t)
	return func(requirement map[string]any) {
		delete(requirement, "fulcio")
		requirement["keyData"] = raw
	}
}

// inPast returns a trusted root whose certificate authority was valid in that period.
func inPast(from trustedroottest.File, period trustedroottest.Period) trustedroottest.File {
	made := trustedroottest.NewFile().Authority(period)
	made.CertificateAuthorities[0].CertChain = from.CertificateAuthorities[0].CertChain
	return made
}

// logsIn returns a trusted root with Rekor's log, valid in that period.
func logsIn(t *testing.T, d *deployment, period trustedroottest.Period) trustedroottest.File {
	t.Helper()
	made := trustedroottest.NewFile()
	for _, log := range d.RekorLogs() {
		made.Log(t, period, log.BaseURL, log.PublicKey)
	}
	return made
}

// TestAFindingByAnUndatedEntryExpires: without a signed time, an entry counts while its log is valid.
func TestAFindingByAnUndatedEntryExpires(t *testing.T) {
	d, key := newDeployment(t), bundletest.NewKey(t)
	keyed := bundletest.Sign(t, key, subject, tagged)
	d.Second.Record(t, keyed, key.Public())
	soon := time.Now().Add(30 * time.Minute)
	file := trustedroottest.NewFile().
		Log(t, trustedroottest.Period{Start: time.Unix(1, 0), End: soon}, d.Second.URL(), d.Second.Public())
	requirement := bundletest.Rooted(t, file, builder)
	keyOnly(t, key)(requirement)
	finding := newSample(t, manifest, keyed.JSON(t)).judge(t, required(t, requirement))
	if !finding.Met || !finding.ExpiresAt.Equal(soon.Add(time.Nanosecond)) {
		t.Errorf("%+v; want it to expire at %s", finding, soon)
	}
	if finding := newSample(t, manifest, d.full(t).JSON(t)).judge(t, required(t, d.rooted(t))); !finding.Met ||
		!finding.ExpiresAt.IsZero() {
		t.Errorf("%+v; want it not to expire", finding)
	}
}
