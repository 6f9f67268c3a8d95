package bundle_test

import (
	"crypto/x509"
	"maps"
	"strings"
	"testing"
	"time"

	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// attestedBy returns the requirement for an attestation by a keyless signer of which a log recorded the signature.
func attestedBy(t testing.TB, sigstore *bundletest.Sigstore) *policy.Requirement {
	t.Helper()
	members := sigstore.Requirement(t, builder)
	maps.Copy(members, map[string]any{"type": "attested", "predicateType": slsa})
	return required(t, members)
}

// TestOldAttestationsMeetRequirements: a bundle v0.1 is what an attestation of cosign's old format is stored as.
func TestOldAttestationsMeetRequirements(t *testing.T) {
	key, sigstore := bundletest.NewKey(t), bundletest.NewSigstore(t)
	byKey := bundletest.SignStatement(t, key, provenanceOf(t, nil))
	byKey.VerificationMaterial.GetPublicKey().Hint = ""
	logged := byKey.Clone()
	sigstore.Record(t, logged, key.PEM(t), time.Now())
	keyless := sigstore.SignStatement(t, builder, provenanceOf(t, nil), time.Minute)
	withLog := map[string]any{"rekorPublicKeyData": sigstore.LogPEM(t)}
	root := bundletest.Rooted(t, sigstore.TrustedRoot(t), builder)
	maps.Copy(root, map[string]any{"type": "attested", "predicateType": slsa})
	for name, test := range map[string]struct {
		attestation bundletest.Bundle
		requirement *policy.Requirement
	}{
		"by a key":                         {byKey.Promised(), attestedRequirement(t, key, nil)},
		"by a key, in a log":               {logged.Promised(), attestedRequirement(t, key, withLog)},
		"by a certificate":                 {keyless.Promised(), attestedBy(t, sigstore)},
		"by a certificate, with a root":    {keyless.Promised(), required(t, root)},
		"with a proof next to the promise": {promisedAndProven(keyless), attestedBy(t, sigstore)},
	} {
		t.Run(name, func(t *testing.T) {
			if finding := attestedSample(t, test.attestation.JSON(t)).judge(t, test.requirement); !finding.Met {
				t.Errorf("%+v", finding)
			}
		})
	}
}

// promisedAndProven returns a bundle v0.1 with promises and proofs.
func promisedAndProven(of bundletest.Bundle) bundletest.Bundle {
	old := of.Promised()
	for i, entry := range of.VerificationMaterial.GetTlogEntries() {
		old.VerificationMaterial.TlogEntries[i].InclusionProof = entry.GetInclusionProof()
	}
	return old
}

// TestTamperedOldAttestationsAreRefused, whose only evidence of the time is the log's promise.
func TestTamperedOldAttestationsAreRefused(t *testing.T) {
	ours, theirs := bundletest.NewSigstore(t), bundletest.NewSigstore(t)
	good := ours.SignStatement(t, builder, provenanceOf(t, nil), time.Minute).Promised()
	again := ours.SignStatement(t, builder, provenanceOf(t, nil), time.Minute).Promised()
	changed := func(change func(bundletest.Bundle)) []byte {
		made := good.Clone()
		change(made)
		return made.JSON(t)
	}
	entry := func(change func(*rekor.TransparencyLogEntry)) []byte {
		return changed(func(b bundletest.Bundle) { change(b.VerificationMaterial.TlogEntries[0]) })
	}
	const notPromised = "its inclusion promise is not the log's"
	for name, test := range map[string]struct {
		raw    []byte
		cause  policy.Cause
		detail string
	}{
		"another statement": {changed(func(b bundletest.Bundle) {
			b.GetDsseEnvelope().Payload = provenanceOf(t, func(s *bundletest.Statement) { s.Predicate = 1 })
		}), policy.NotLogged, "payload hash"},
		"another signature": {changed(func(b bundletest.Bundle) {
			b.GetDsseEnvelope().Signatures[0].Sig = again.GetDsseEnvelope().GetSignatures()[0].GetSig()
		}), policy.NotLogged, "signature does not match"},
		"another type of payload": {changed(func(b bundletest.Bundle) {
			b.GetDsseEnvelope().PayloadType = "application/json"
		}), policy.Malformed, `its payload is of type "application/json"`},
		"no promise": {entry(func(e *rekor.TransparencyLogEntry) {
			e.InclusionPromise = nil
		}), policy.NotLogged, "no inclusion promise"},
		"no log entry": {changed(func(b bundletest.Bundle) {
			b.VerificationMaterial.TlogEntries = nil
		}), policy.NotLogged, "it is recorded by no transparency log"},
		"an empty promise": {entry(func(e *rekor.TransparencyLogEntry) {
			e.InclusionPromise.SignedEntryTimestamp = nil
		}), policy.NotLogged, "no inclusion promise"},
		"a proof instead of the promise": {entry(func(e *rekor.TransparencyLogEntry) {
			ours.Prove(t, e)
			e.InclusionPromise = nil
		}), policy.NotLogged, "no inclusion promise"},
		"a promise by another log": {entry(func(e *rekor.TransparencyLogEntry) {
			theirs.Promise(t, e)
		}), policy.NotLogged, notPromised},
		"the promise of another entry": {entry(func(e *rekor.TransparencyLogEntry) {
			e.InclusionPromise = again.VerificationMaterial.TlogEntries[0].InclusionPromise
		}), policy.NotLogged, notPromised},
		"another attestation's entry": {changed(func(b bundletest.Bundle) {
			b.VerificationMaterial.TlogEntries = again.Clone().VerificationMaterial.TlogEntries
		}), policy.NotLogged, "signature does not match"},
		"another time":  {entry(func(e *rekor.TransparencyLogEntry) { e.IntegratedTime++ }), policy.NotLogged, notPromised},
		"another index": {entry(func(e *rekor.TransparencyLogEntry) { e.LogIndex++ }), policy.NotLogged, notPromised},
		"another kind of entry": {entry(func(e *rekor.TransparencyLogEntry) {
			e.KindVersion.Kind = "hashedrekord"
		}), policy.NotLogged, "does not record envelopes"},
		"the log's first kind of attestations": {entry(func(e *rekor.TransparencyLogEntry) {
			e.KindVersion.Kind, e.KindVersion.Version = "intoto", "0.0.1"
		}), policy.NotLogged, `"intoto", version "0.0.1"`},
		"a bad proof next to the promise": {entry(func(e *rekor.TransparencyLogEntry) {
			ours.Prove(t, e)
			e.InclusionProof.RootHash[0] ^= 1
		}), policy.NotLogged, "calculated root"},
		"recorded after the certificate had expired": {
			ours.SignStatement(t, builder, provenanceOf(t, nil), 11*time.Minute).Promised().JSON(t),
			policy.NotLogged, "outside certificate validity",
		},
		"another's certificate": {changed(func(b bundletest.Bundle) {
			b.VerificationMaterial.Content = again.VerificationMaterial.Content
		}), policy.NotLogged, "certificate does not match"},
		"a chain that ends in no certificate": {changed(func(b bundletest.Bundle) {
			chain := b.VerificationMaterial.GetX509CertificateChain()
			above := chain.Certificates[0]
			chain.Certificates = append(chain.Certificates, above)
			chain.Certificates[1].RawBytes = []byte("none")
		}), policy.Malformed, ""},
		"by another authority": {
			theirs.SignStatement(t, builder, provenanceOf(t, nil), time.Minute).Promised().JSON(t),
			policy.NotLogged, "by another log",
		},
		"by another authority, in our log": {inLog(t, theirs, ours), policy.OtherSigner, "certificate"},
		"as a bundle v0.3": {changed(func(b bundletest.Bundle) {
			b.MediaType = bundletest.MediaType
		}), policy.NotLogged, "no inclusion proof, which a bundle v0.3 must have"},
		"as a bundle v0.2": {changed(func(b bundletest.Bundle) {
			b.MediaType = "application/vnd.dev.sigstore.bundle+json;version=0.2"
		}), policy.Malformed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			finding := attestedSample(t, test.raw).judge(t, attestedBy(t, ours))
			if finding.Met || finding.Cause != test.cause || !strings.Contains(finding.Detail, test.detail) {
				t.Errorf("%+v, want cause %q and %q", finding, test.cause, test.detail)
			}
		})
	}
}

// inLog returns an attestation with a certificate of one Sigstore, and an entry in the log of another.
func inLog(t testing.TB, authority, log *bundletest.Sigstore) []byte {
	t.Helper()
	key, certificate := authority.Certify(t, builder)
	made := bundletest.SignStatement(t, key, provenanceOf(t, nil)).Certified(certificate)
	log.Record(t, made, bundletest.CertificatePEM(certificate), certificate.NotBefore.Add(time.Minute))
	return made.Promised().JSON(t)
}

// TestAnOldEntryNeedsAPromise also if the signer is a key, whose signature needs no time.
func TestAnOldEntryNeedsAPromise(t *testing.T) {
	key, sigstore := bundletest.NewKey(t), bundletest.NewSigstore(t)
	good := bundletest.SignStatement(t, key, provenanceOf(t, nil))
	sigstore.Record(t, good, key.PEM(t), time.Now())
	requirement := attestedRequirement(t, key, map[string]any{"rekorPublicKeyData": sigstore.LogPEM(t)})
	for name, unpromised := range map[string]bundletest.Bundle{
		"a proof": promisedAndProven(good), "nothing": good.Promised(),
	} {
		unpromised.VerificationMaterial.TlogEntries[0].InclusionPromise = nil
		finding := attestedSample(t, unpromised.JSON(t)).judge(t, requirement)
		if finding.Met || !strings.Contains(finding.Detail, "no inclusion promise, which a bundle v0.1 must have") {
			t.Errorf("%s instead: %+v", name, finding)
		}
	}
}

// TestAnOldChainCounts: the certificates between the root and the signer's are in the bundle, not in the policy.
func TestAnOldChainCounts(t *testing.T) {
	sigstore := bundletest.NewSigstore(t)
	authorities := sigstore.Authorities(t)
	above, top := authorities[:len(authorities)-1], authorities[len(authorities)-1]
	members := sigstore.Requirement(t, builder)
	fulcio, _ := members["fulcio"].(map[string]any)
	fulcio["caData"] = bundletest.CertificatePEM(top)
	maps.Copy(members, map[string]any{"type": "attested", "predicateType": slsa})
	requirement := required(t, members)
	good := sigstore.SignStatement(t, builder, provenanceOf(t, nil), time.Minute)
	leaf, err := x509.ParseCertificate(good.VerificationMaterial.GetCertificate().GetRawBytes())
	if err != nil {
		t.Fatal(err)
	}
	if finding := attestedSample(t, good.Promised().JSON(t)).judge(t, requirement); finding.Met {
		t.Error("it is accepted without the certificate between")
	}
	chained := good.Clone().Certified(leaf, above...)
	if finding := attestedSample(t, chained.Promised().JSON(t)).judge(t, requirement); !finding.Met {
		t.Errorf("%+v", finding)
	}
}

// TestAnOldBundleIsNoSignature, although an attestation may be one.
func TestAnOldBundleIsNoSignature(t *testing.T) {
	sigstore := bundletest.NewSigstore(t)
	good := sigstore.Sign(t, builder, subject, repository)
	requirement := required(t, sigstore.Requirement(t, builder))
	if finding := newSample(t, manifest, good.JSON(t)).judge(t, requirement); !finding.Met {
		t.Fatalf("%+v", finding)
	}
	finding := newSample(t, manifest, promisedAndProven(good).JSON(t)).judge(t, requirement)
	if finding.Met || !strings.Contains(finding.Detail, "it is a bundle v0.1") {
		t.Errorf("%+v", finding)
	}
}
