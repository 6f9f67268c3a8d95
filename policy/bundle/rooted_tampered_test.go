package bundle_test

import (
	"bytes"
	"crypto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	rekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"

	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// TestTamperedTimestampsAndSecondEntriesAreRefused changes a bundle with a timestamp and an entry of Rekor v2.
func TestTamperedTimestampsAndSecondEntriesAreRefused(t *testing.T) {
	d, theirs := newDeployment(t), newDeployment(t)
	good, again := d.full(t), d.full(t)
	signature := good.GetDsseEnvelope().Signatures[0].Sig
	with := func(change func(bundletest.Bundle)) []byte {
		changed := good.Clone()
		change(changed)
		return changed.JSON(t)
	}
	entry := func(change func(*rekor.TransparencyLogEntry)) []byte {
		return with(func(b bundletest.Bundle) { change(b.VerificationMaterial.TlogEntries[0]) })
	}
	stamps := func(responses ...[]byte) []byte {
		return with(func(b bundletest.Bundle) {
			b.VerificationMaterial.TimestampVerificationData = nil
			for _, response := range responses {
				b.Stamp(response)
			}
		})
	}
	recorded := func(log *bundletest.Tiles, change func(body []byte) []byte) []byte {
		return with(func(b bundletest.Bundle) {
			b.VerificationMaterial.TlogEntries = []*rekor.TransparencyLogEntry{
				log.Entry(t, change(log.Body(t, b, nil))),
			}
		})
	}
	replaced := func(old, by string) []byte {
		return recorded(d.Second, func(body []byte) []byte {
			if !bytes.Contains(body, []byte(old)) {
				t.Fatalf("there is no %q in %s", old, body)
			}
			return bytes.Replace(body, []byte(old), []byte(by), 1)
		})
	}
	stamp := d.Stamper.Stamp(t, signature, time.Now().Add(time.Minute))
	flipped := bytes.Clone(stamp)
	flipped[len(flipped)-5] ^= 1
	renamed := &bundletest.Tiles{Key: d.Second.Key, Origin: "log3.example"}
	const noTime, notThis = "its log entry has no signed time", "verifying log entry"
	cases := map[string]tampered{
		// Timestamps.
		"no timestamp":                     rejected(stamps(), noTime+", and it has no timestamp (RFC 3161)"),
		"a timestamp by another authority": rejected(stamps(theirs.Stamper.Stamp(t, signature, time.Now())), noTime),
		"a timestamp of another signature": rejected(stamps(d.Stamper.Stamp(t, []byte("x"), time.Now())), "hashed messages"),
		"the timestamp of another bundle": rejected(with(func(b bundletest.Bundle) {
			b.VerificationMaterial.TimestampVerificationData = again.VerificationMaterial.TimestampVerificationData
		}), "hashed messages don't match"),
		"a timestamp before the certificate": rejected(
			stamps(d.Stamper.Stamp(t, signature, time.Now().Add(-time.Minute))), "not yet valid"),
		"a timestamp after the certificate": rejected(
			stamps(d.Stamper.Stamp(t, signature, time.Now().Add(11*time.Minute))), "expired"),
		"a timestamp after the certificate, and one in time": rejected(
			stamps(d.Stamper.Stamp(t, signature, time.Now().Add(11*time.Minute)), stamp), "expired"),
		"a timestamp after the authority": rejected(
			stamps(d.Stamper.Stamp(t, signature, time.Now().Add(48*time.Hour))), "no timestamp in it counts"),
		"a timestamp before the authority": rejected(
			stamps(d.Stamper.Stamp(t, signature, time.Now().Add(-48*time.Hour))), "no timestamp in it counts"),
		"a bit of the timestamp":       rejected(stamps(flipped), "by none of the trusted root's timestamp authorities"),
		"half a timestamp":             rejected(stamps(stamp[:len(stamp)/2]), "not a response of a timestamp authority"),
		"an empty timestamp":           rejected(stamps(nil), "not a response of a timestamp authority"),
		"a timestamp and more":         rejected(stamps(append(bytes.Clone(stamp), 0)), "not a response of a timestamp"),
		"a token without its response": rejected(stamps(stamp[9:]), "no timestamp in it counts"),
		"a large timestamp":            rejected(stamps(make([]byte, 40<<10)), "the maximum is 32768"),
		"nine timestamps":              rejected(stamps(slices.Repeat([][]byte{stamp}, 9)...), "it has 9 timestamps"),
		"a timestamp with a stranger's certificate": rejected(
			stamps(theirs.Stamper.StampAs(t, signature, time.Now(), crypto.SHA256, true)), "by none of"),
		// Entries of Rekor v2.
		"no entry": rejected(with(func(b bundletest.Bundle) { b.VerificationMaterial.TlogEntries = nil }),
			"it is recorded by no transparency log"),
		"another log's entry": rejected(recorded(theirs.Second, bytes.Clone), "by another log than the trusted root's"),
		"another log's entry under the name of the right one": rejected(with(func(b bundletest.Bundle) {
			made := theirs.Second.Entry(t, d.Second.Body(t, b, nil))
			made.LogId = good.VerificationMaterial.TlogEntries[0].LogId
			b.VerificationMaterial.TlogEntries = []*rekor.TransparencyLogEntry{made}
		}), notThis),
		"the entry of another signature": rejected(with(func(b bundletest.Bundle) {
			b.VerificationMaterial.TlogEntries = again.VerificationMaterial.TlogEntries
		}), notThis),
		"the entry of another certificate": rejected(with(func(b bundletest.Bundle) {
			_, other := d.Certify(t, builder)
			changed := b.Clone().Certified(other)
			b.VerificationMaterial.TlogEntries = []*rekor.TransparencyLogEntry{
				d.Second.Entry(t, d.Second.Body(t, changed, nil)),
			}
		}), notThis),
		"an entry for the key without its certificate": rejected(with(func(b bundletest.Bundle) {
			key, _ := d.Certify(t, builder)
			changed := b.Clone()
			changed.VerificationMaterial.Content = nil
			b.VerificationMaterial.TlogEntries = []*rekor.TransparencyLogEntry{
				d.Second.Entry(t, d.Second.Body(t, changed, key.Public())),
			}
		}), notThis),
		"an entry of another payload": rejected(with(func(b bundletest.Bundle) {
			changed := b.Clone()
			changed.GetDsseEnvelope().Payload = []byte("{}")
			b.VerificationMaterial.TlogEntries = []*rekor.TransparencyLogEntry{
				d.Second.Entry(t, d.Second.Body(t, changed, nil)),
			}
		}), notThis),
		"a log with another origin": rejected(with(func(b bundletest.Bundle) {
			b.VerificationMaterial.TlogEntries[0].InclusionProof = renamed.Entry(t, d.Second.Body(t, b, nil)).InclusionProof
		}), notThis),
		"a log with another origin, and so another ID": rejected(recorded(renamed, bytes.Clone), "by another log than"),
		"another index":    rejected(entry(func(e *rekor.TransparencyLogEntry) { e.LogIndex++ }), notThis),
		"a negative index": rejected(entry(func(e *rekor.TransparencyLogEntry) { e.LogIndex = -1 }), "nil value"),
		"a hash too many": rejected(entry(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Hashes = [][]byte{make([]byte, 32)}
		}), notThis),
		"a thousand hashes": rejected(entry(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Hashes = slices.Repeat([][]byte{make([]byte, 32)}, 1000)
		}), "more than 64 hashes"),
		"no proof": rejected(entry(func(e *rekor.TransparencyLogEntry) { e.InclusionProof = nil }), "no inclusion proof"),
		"no checkpoint": rejected(entry(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Checkpoint = nil
		}), "missing required checkpoint"),
		"another entry's checkpoint": rejected(entry(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Checkpoint = again.VerificationMaterial.TlogEntries[0].InclusionProof.Checkpoint
		}), notThis),
		"another log's checkpoint": rejected(entry(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Checkpoint.Envelope = theirs.Second.Checkpoint(t, e.InclusionProof.RootHash)
		}), notThis),
		"a checkpoint without a signature": rejected(entry(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Checkpoint.Envelope, _, _ = strings.Cut(e.InclusionProof.Checkpoint.Envelope, "— ")
		}), notThis),
		"a checkpoint of Rekor's first version": rejected(with(func(b bundletest.Bundle) {
			// It proves the inclusion of an entry for another signature.
			made := again.Clone().VerificationMaterial.TlogEntries[0]
			made.LogId = d.Sign(t, builder, subject, tagged).VerificationMaterial.TlogEntries[0].LogId
			d.Prove(t, made)
			b.VerificationMaterial.TlogEntries = []*rekor.TransparencyLogEntry{made}
		}), "its checkpoint is one of Rekor's first version"),
		"a large checkpoint": rejected(entry(func(e *rekor.TransparencyLogEntry) {
			e.InclusionProof.Checkpoint.Envelope += strings.Repeat("— x AAAAAAAA\n", 2000)
		}), "its checkpoint is larger than 16384 bytes"),
		"a promise with it": rejected(entry(func(e *rekor.TransparencyLogEntry) {
			e.InclusionPromise = &rekor.InclusionPromise{SignedEntryTimestamp: []byte("x")}
		}), "its inclusion promise is not the log's"),
		"a time outside the certificate": rejected(entry(func(e *rekor.TransparencyLogEntry) {
			e.IntegratedTime = 1
		}), "outside certificate validity"),
		"a kind of Rekor v2 that records no hash": rejected(entry(func(e *rekor.TransparencyLogEntry) {
			e.KindVersion.Kind = "dsse"
		}), `its kind "dsse", version "0.0.2" is not supported`),
		"an unknown version": rejected(entry(func(e *rekor.TransparencyLogEntry) {
			e.KindVersion.Version = "0.0.3"
		}), `version "0.0.3" does not record envelopes`),
		"a body of another kind":     rejected(replaced(`"hashedrekord"`, `"dsse"`), "but the entry is"),
		"a body of another version":  rejected(replaced(`"0.0.2"`, `"0.0.1"`), "but the entry is"),
		"a body with a kind twice":   rejected(replaced(`"kind":`, `"kind":"hashedrekord","kind":`), "duplicate"),
		"a body with another spec":   rejected(replaced(`"hashedRekordV002"`, `"hashedRekordV003"`), "entry 1: "),
		"a body without a signature": rejected(replaced(`"signature"`, `"signatures"`), "entry 1: "),
		"a body that is no JSON": rejected(
			recorded(d.Second, func([]byte) []byte { return []byte("x") }), "its body: "),
		"a large body": rejected(recorded(d.Second, func(body []byte) []byte {
			return append(body, bytes.Repeat([]byte{' '}, 70_000)...)
		}), "its body is larger than 65536 bytes"),
		"nine entries": rejected(with(func(b bundletest.Bundle) {
			b.VerificationMaterial.TlogEntries = slices.Repeat(b.VerificationMaterial.TlogEntries, 9)
		}), "it has 9 log entries"),
		// Signers.
		"another authority's certificate": rejected(theirs.full(t).JSON(t), "by another log than the trusted root's"),
		"another image":                   rejected(bundleOf(t, d, digest.FromString("x")).JSON(t), "it signs another image"),
	}
	stranger := theirs.unseen(t)
	d.Second.Record(t, stranger, nil)
	d.stamp(t, stranger)
	cases["another authority's certificate, seen by ours"] = rejected(stranger.JSON(t), "signed by unknown authority")
	changed := d.full(t)
	changed.GetDsseEnvelope().Payload = bytes.Replace(changed.GetDsseEnvelope().Payload, []byte(":v1"), []byte(":v2"), 1)
	d.Second.Record(t, changed, nil)
	changed.VerificationMaterial.TlogEntries = changed.VerificationMaterial.TlogEntries[1:]
	cases["a changed payload, recorded"] = rejected(changed.JSON(t), "its signature is not by the required signer")
	refuseAll(t, required(t, d.rooted(t)), good, cases)
	// The signed checkpoint has the root and the size of the tree, and the entry its index.
	for name, change := range map[string]func(*rekor.InclusionProof){
		"another root":               func(p *rekor.InclusionProof) { p.RootHash[0] ^= 1 },
		"another size":               func(p *rekor.InclusionProof) { p.TreeSize++ },
		"another index in the proof": func(p *rekor.InclusionProof) { p.LogIndex++ },
	} {
		raw := entry(func(e *rekor.TransparencyLogEntry) { change(e.InclusionProof) })
		if finding := newSample(t, manifest, raw).judge(t, required(t, d.rooted(t))); !finding.Met {
			t.Errorf("%s: %s", name, finding.Detail)
		}
	}
}

func bundleOf(t *testing.T, d *deployment, image digest.Digest) bundletest.Bundle {
	t.Helper()
	key, certificate := d.Certify(t, builder)
	b := bundletest.Sign(t, key, image, tagged).Certified(certificate)
	d.Second.Record(t, b, nil)
	d.stamp(t, b)
	return b
}
