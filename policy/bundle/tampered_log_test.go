package bundle_test

import (
	"bytes"
	"encoding/base64"
	"maps"
	"strings"
	"testing"
	"time"

	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// TestTamperedLogEntriesAreRefused changes entries, promises and proofs.
func TestTamperedLogEntriesAreRefused(t *testing.T) {
	ours, theirs := bundletest.NewSigstore(t), bundletest.NewSigstore(t)
	good := ours.Sign(t, builder, subject, tagged)
	again := ours.Sign(t, builder, subject, tagged)
	with := func(change func(*rekor.TransparencyLogEntry)) []byte {
		changed := good.Clone()
		change(changed.VerificationMaterial.TlogEntries[0])
		return changed.JSON(t)
	}
	recorded := func(change func(bundletest.Bundle)) []byte {
		changed := good.Clone()
		changed.VerificationMaterial.TlogEntries = nil
		change(changed)
		return changed.JSON(t)
	}
	body := func(change func([]byte) []byte) []byte {
		return with(func(e *rekor.TransparencyLogEntry) {
			e.CanonicalizedBody = change(e.CanonicalizedBody)
			ours.Promise(t, e)
		})
	}
	replaced := func(old, by string) []byte {
		return body(func(body []byte) []byte {
			if !bytes.Contains(body, []byte(old)) {
				t.Fatalf("there is no %q in %s", old, body)
			}
			return bytes.Replace(body, []byte(old), []byte(by), 1)
		})
	}
	swapped := good.Clone()
	swapped.VerificationMaterial.TlogEntries = again.VerificationMaterial.TlogEntries
	leaf := good.VerificationMaterial.GetCertificate().GetRawBytes()
	const noPromise = "has an inclusion proof but no inclusion promise"
	const notPromised, notThen = "its inclusion promise is not the log's", "outside certificate validity"
	refuseAll(t, required(t, ours.Requirement(t, builder)), good, map[string]tampered{
		"no entry":         rejected(recorded(func(bundletest.Bundle) {}), "it is recorded by no transparency log"),
		"a timestamp only": rejected(recorded(func(b bundletest.Bundle) { ours.Timestamp(t, b) }), "(RFC 3161)"),
		"Rekor v2":         rejected(recorded(func(b bundletest.Bundle) { ours.RecordSecond(t, b) }), "by Rekor v2"),
		"Rekor v2 and a timestamp": rejected(recorded(func(b bundletest.Bundle) {
			ours.RecordSecond(t, b)
			ours.Timestamp(t, b)
		}), "the requirement names no timestamp authority"),
		"no promise": rejected(with(func(e *rekor.TransparencyLogEntry) { e.InclusionPromise = nil }), noPromise),
		"an empty promise": rejected(with(func(e *rekor.TransparencyLogEntry) {
			e.InclusionPromise.SignedEntryTimestamp = nil
		}), noPromise),
		"a promise by another log": rejected(with(func(e *rekor.TransparencyLogEntry) { theirs.Promise(t, e) }), notPromised),
		"the promise of another entry": rejected(with(func(e *rekor.TransparencyLogEntry) {
			e.InclusionPromise = again.VerificationMaterial.TlogEntries[0].InclusionPromise
		}), notPromised),
		"another time":     rejected(with(func(e *rekor.TransparencyLogEntry) { e.IntegratedTime++ }), notPromised),
		"no time":          rejected(with(func(e *rekor.TransparencyLogEntry) { e.IntegratedTime = 0 }), notPromised),
		"another index":    rejected(with(func(e *rekor.TransparencyLogEntry) { e.LogIndex++ }), notPromised),
		"a negative index": rejected(with(func(e *rekor.TransparencyLogEntry) { e.LogIndex = -1 }), "nil value"),
		"promised at no time": rejected(with(func(e *rekor.TransparencyLogEntry) {
			e.IntegratedTime = 0
			ours.Promise(t, e)
		}), "not valid at payload integrated time"),
		"recorded after the certificate had expired": rejected(
			ours.SignStatement(t, builder, good.GetDsseEnvelope().Payload, 11*time.Minute).JSON(t), notThen),
		"recorded before the certificate was issued": rejected(
			ours.SignStatement(t, builder, good.GetDsseEnvelope().Payload, -time.Second).JSON(t), notThen),
		"another signature's entry": rejected(swapped.JSON(t), "transparency log signature does not match"),
		"recorded for another certificate": rejected(recorded(func(b bundletest.Bundle) {
			_, other := ours.Certify(t, builder)
			forged := bytes.Replace(good.VerificationMaterial.TlogEntries[0].CanonicalizedBody,
				base64PEM(leaf), base64PEM(other.Raw), 1)
			b.VerificationMaterial.TlogEntries = good.Clone().VerificationMaterial.TlogEntries
			b.VerificationMaterial.TlogEntries[0].CanonicalizedBody = forged
			ours.Promise(t, b.VerificationMaterial.TlogEntries[0])
			ours.Prove(t, b.VerificationMaterial.TlogEntries[0])
		}), "transparency log certificate does not match"),
		"in another log": rejected(recorded(func(b bundletest.Bundle) {
			theirs.Record(t, b, pemOf(leaf), time.Now().Add(time.Minute))
		}), "it is recorded by another log than the requirement's"),
		"in another log under the name of the right one": rejected(recorded(func(b bundletest.Bundle) {
			theirs.Record(t, b, pemOf(leaf), time.Now().Add(time.Minute))
			b.VerificationMaterial.TlogEntries[0].LogId = good.VerificationMaterial.TlogEntries[0].LogId
		}), notPromised),
		"no log":   rejected(with(func(e *rekor.TransparencyLogEntry) { e.LogId = nil }), "nil value"),
		"no proof": rejected(with(func(e *rekor.TransparencyLogEntry) { e.InclusionProof = nil }), "no inclusion proof"),
		"a proof of another root": rejected(with(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.RootHash[0] ^= 1
		}), "calculated root"),
		"a proof of another size": rejected(with(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.TreeSize++
		}), "wrong proof size"),
		"a hash too many in the proof": rejected(with(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Hashes = append(e.InclusionProof.Hashes, make([]byte, 32))
		}), "wrong proof size"),
		"a thousand hashes in the proof": rejected(with(func(e *rekor.TransparencyLogEntry) {
			for range 1000 {
				e.InclusionProof.Hashes = append(e.InclusionProof.Hashes, make([]byte, 32))
			}
		}), "more than 64 hashes"),
		"another log's checkpoint": rejected(with(func(e *rekor.TransparencyLogEntry) {
			theirs.Prove(t, e)
		}), "signature on checkpoint did not verify"),
		"another entry's checkpoint": rejected(with(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Checkpoint = again.VerificationMaterial.TlogEntries[0].InclusionProof.Checkpoint
		}), "does not match signed tree head"),
		"no checkpoint": rejected(with(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Checkpoint = nil
		}), "missing required checkpoint"),
		"a checkpoint of a log without a number": rejected(with(func(e *rekor.TransparencyLogEntry) {
			checkpoint := e.InclusionProof.Checkpoint
			checkpoint.Envelope = strings.Replace(checkpoint.Envelope, " - ", " + ", 1)
		}), "cannot verify Rekor v2 entry without baseUrl"),
		"a large checkpoint": rejected(with(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Checkpoint.Envelope += strings.Repeat("— x AAAAAAAA\n", 2000)
		}), "its checkpoint is larger than 16384 bytes"),
		"an entry of another kind": rejected(with(func(e *rekor.TransparencyLogEntry) {
			e.KindVersion.Kind = "hashedrekord"
		}), `its kind "hashedrekord", version "0.0.1" does not record envelopes`),
		"an entry of no kind": rejected(with(func(e *rekor.TransparencyLogEntry) { e.KindVersion = nil }), `its kind ""`),
		"an entry of another version": rejected(with(func(e *rekor.TransparencyLogEntry) {
			e.KindVersion.Version = "0.0.7"
		}), `version "0.0.7" does not record envelopes`),
		"a body of another kind":    rejected(replaced(`"dsse"`, `"hashedrekord"`), "but the entry is"),
		"a body of another version": rejected(replaced(`"0.0.1"`, `"0.0.2"`), "but the entry is"),
		"a body that proposes":      rejected(replaced(`"spec":{`, `"spec":{"proposedContent":{},`), "it is a proposal"),
		"a body that proposes in disguise": rejected(
			replaced(`"spec":{`, `"spec":{"\u0070roposedContent":{},`), "it is a proposal"),
		"a body with its kind twice":       rejected(replaced(`"kind":`, `"kind":"dsse","kind":`), "duplicate"),
		"a body with its kind in capitals": rejected(replaced(`"kind":`, `"Kind":`), `unknown key "Kind"`),
		"a body that is no JSON":           rejected(body(func([]byte) []byte { return []byte("x") }), "its body: "),
		"no body":                          rejected(body(func([]byte) []byte { return nil }), "its body: "),
		"a large body": rejected(body(func(body []byte) []byte {
			return append(body, bytes.Repeat([]byte{' '}, 70_000)...)
		}), "its body is larger than 65536 bytes"),
		"nine entries": rejected(recorded(func(b bundletest.Bundle) {
			for range 9 {
				b.VerificationMaterial.TlogEntries = append(b.VerificationMaterial.TlogEntries,
					good.VerificationMaterial.TlogEntries...)
			}
		}), "it has 9 log entries"),
	})
}

// TestAKeyThatMustBeLoggedIs: if a requirement has keys of Rekor, the bundle must contain an entry by one of them.
func TestAKeyThatMustBeLoggedIs(t *testing.T) {
	key, log, other := bundletest.NewKey(t), bundletest.NewSigstore(t), bundletest.NewSigstore(t)
	good := bundletest.Sign(t, key, subject, tagged)
	log.Record(t, good, key.PEM(t), time.Now())
	requirement := key.Requirement(t)
	requirement["rekorPublicKeyData"] = log.LogPEM(t)
	by := func(record func(bundletest.Bundle)) []byte {
		changed := good.Clone()
		changed.VerificationMaterial.TlogEntries = nil
		record(changed)
		return changed.JSON(t)
	}
	refuseAll(t, required(t, requirement), good, map[string]tampered{
		"no entry": rejected(by(func(bundletest.Bundle) {}), "it is recorded by no transparency log"),
		"another log's entry": rejected(
			by(func(b bundletest.Bundle) { other.Record(t, b, key.PEM(t), time.Now()) }), "by another log"),
		"Rekor v2":    rejected(by(func(b bundletest.Bundle) { log.RecordSecond(t, b) }), "by Rekor v2"),
		"a timestamp": rejected(by(func(b bundletest.Bundle) { log.Timestamp(t, b) }), "(RFC 3161)"),
		"a promise that is not the log's": rejected(by(func(b bundletest.Bundle) {
			log.Record(t, b, key.PEM(t), time.Now())
			b.VerificationMaterial.TlogEntries[0].IntegratedTime++
		}), "its inclusion promise is not the log's"),
		"neither a promise nor a proof": rejected(by(func(b bundletest.Bundle) {
			log.Record(t, b, key.PEM(t), time.Now())
			entry := b.VerificationMaterial.TlogEntries[0]
			entry.InclusionPromise, entry.InclusionProof = nil, nil
		}), "no inclusion proof"),
		"recorded for another key": rejected(by(func(b bundletest.Bundle) {
			log.Record(t, b, key.PEM(t), time.Now())
			entry := b.VerificationMaterial.TlogEntries[0]
			encoded := func(pem []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(pem)) }
			entry.CanonicalizedBody = bytes.Replace(entry.CanonicalizedBody, encoded(key.PEM(t)),
				encoded(bundletest.NewKey(t).PEM(t)), 1)
			log.Promise(t, entry)
			log.Prove(t, entry)
		}), "transparency log certificate does not match"),
		"the entry of another signature by the key": rejected(by(func(b bundletest.Bundle) {
			another := bundletest.Sign(t, key, subject, tagged)
			log.Record(t, another, key.PEM(t), time.Now())
			b.VerificationMaterial.TlogEntries = another.VerificationMaterial.TlogEntries
		}), "transparency log signature does not match"),
	})
}

// TestOneGoodEntryIsEnough: unusable entries do not affect others, in any order.
func TestOneGoodEntryIsEnough(t *testing.T) {
	ours, theirs := bundletest.NewSigstore(t), bundletest.NewSigstore(t)
	good := ours.Sign(t, builder, subject, tagged)
	entry := good.VerificationMaterial.TlogEntries[0]
	leaf := good.VerificationMaterial.GetCertificate().GetRawBytes()
	junk := good.Clone()
	theirs.Record(t, junk, pemOf(leaf), time.Now())
	ours.RecordSecond(t, junk)
	broken := good.Clone().VerificationMaterial.TlogEntries[0]
	broken.IntegratedTime++
	entries := append(junk.VerificationMaterial.TlogEntries[1:], broken, &rekor.TransparencyLogEntry{})
	for at := range len(entries) + 1 {
		mixed := good.Clone()
		mixed.VerificationMaterial.TlogEntries = append(append(append([]*rekor.TransparencyLogEntry{},
			entries[:at]...), entry), entries[at:]...)
		app := newSample(t, manifest, mixed.JSON(t))
		wantFinding(t, app.judge(t, required(t, ours.Requirement(t, builder))), policy.Accepted, "")
	}
}

// TestKeylessNeedsEveryRequiredParty replaces each party of the requirement once.
func TestKeylessNeedsEveryRequiredParty(t *testing.T) {
	ours, theirs := bundletest.NewSigstore(t), bundletest.NewSigstore(t)
	app := newSample(t, manifest, ours.Sign(t, builder, subject, tagged).JSON(t))
	for name, test := range map[string]struct {
		change func(requirement, fulcio map[string]any)
		detail string
	}{
		"another authority": {func(_, fulcio map[string]any) {
			fulcio["caData"] = theirs.Requirement(t, builder)["fulcio"].(map[string]any)["caData"]
		}, "certificate signed by unknown authority"},
		"another log": {func(requirement, _ map[string]any) {
			requirement["rekorPublicKeyData"] = theirs.LogPEM(t)
		}, "by another log"},
		"another address": {func(_, fulcio map[string]any) {
			fulcio["subjectEmail"] = "eve@example.com"
		}, `is for ["build@example.com"], not for the e-mail address "eve@example.com"`},
		"an address in capitals": {func(_, fulcio map[string]any) {
			fulcio["subjectEmail"] = "Build@example.com"
		}, "not for the e-mail address"},
		"another issuer": {func(_, fulcio map[string]any) {
			fulcio["oidcIssuer"] = "https://elsewhere.example"
		}, `the OIDC issuer in its certificate is "https://issuer.example", not "https://elsewhere.example"`},
		"an issuer with a slash": {func(_, fulcio map[string]any) {
			fulcio["oidcIssuer"] = builder.Issuer + "/"
		}, "the OIDC issuer in its certificate is"},
	} {
		t.Run(name, func(t *testing.T) {
			requirement := ours.Requirement(t, builder)
			fulcio := maps.Clone(requirement["fulcio"].(map[string]any))
			requirement["fulcio"] = fulcio
			test.change(requirement, fulcio)
			wantFinding(t, app.judge(t, required(t, requirement)), policy.Rejected, test.detail)
		})
	}
	key := bundletest.NewKey(t)
	byKey := newSample(t, manifest, bundletest.Sign(t, key, subject, tagged).JSON(t))
	wantFinding(t, byKey.judge(t, required(t, ours.Requirement(t, builder))), policy.Rejected,
		"it is signed with a key, and the requirement trusts certificates")
	wantFinding(t, app.judge(t, required(t, key.Requirement(t))), policy.Rejected,
		"it is signed with a certificate, and the requirement trusts keys")
}
