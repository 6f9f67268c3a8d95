package bundle_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	common "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// tampered is a bundle that is refused, and the expected reason.
type tampered struct {
	raw    []byte
	want   policy.Reason
	detail string
}

// rejected is a bundle that is rejected, with a part of the detail.
func rejected(raw []byte, detail string) tampered { return tampered{raw, policy.Rejected, detail} }

// TestTamperedEnvelopesAreRefused changes the payload and the signature in each way once.
func TestTamperedEnvelopesAreRefused(t *testing.T) {
	key, other := bundletest.NewKey(t), bundletest.NewKey(t)
	good := bundletest.Sign(t, key, subject, tagged)
	with := func(change func(*protodsse.Envelope)) []byte {
		changed := good.Clone()
		change(changed.GetDsseEnvelope())
		return changed.JSON(t)
	}
	replace := func(old, by string) []byte {
		return with(func(e *protodsse.Envelope) {
			if !bytes.Contains(e.Payload, []byte(old)) {
				t.Fatalf("there is no %q in %s", old, e.Payload)
			}
			e.Payload = bytes.ReplaceAll(e.Payload, []byte(old), []byte(by))
		})
	}
	otherImage := bundletest.Sign(t, key, digest.FromString("other"), tagged)
	relabelled := otherImage.Clone()
	relabelled.GetDsseEnvelope().Payload = good.GetDsseEnvelope().Payload
	const notSigned, anotherImage = "its signature is not by the required signer", "it signs another image"
	cases := map[string]tampered{
		"the name in the payload": rejected(replace("team/app:v1", "team/app:v2"), notSigned),
		"the name taken out of the payload": rejected(
			replace(`{"docker-reference":"`+tagged+`"}`, "{}"), notSigned),
		"a space in the payload":               rejected(replace(`"_type":`, `"_type": `), notSigned),
		"another image's signature, relabeled": rejected(relabelled.JSON(t), notSigned),
		"another image's bundle":               rejected(otherImage.JSON(t), anotherImage),
		"the digest in the payload": rejected(
			replace(subject.Encoded(), digest.FromString("other").Encoded()), anotherImage),
		"a bit of the signature": rejected(with(func(e *protodsse.Envelope) { e.Signatures[0].Sig[9] ^= 1 }), notSigned),
		"an empty signature":     rejected(with(func(e *protodsse.Envelope) { e.Signatures[0].Sig = nil }), notSigned),
		"a long signature": rejected(with(func(e *protodsse.Envelope) {
			e.Signatures[0].Sig = bytes.Repeat(e.Signatures[0].Sig, 1000)
		}), notSigned),
		"a key ID that is not the key's": rejected(
			with(func(e *protodsse.Envelope) { e.Signatures[0].Keyid = "other" }), notSigned),
		"no signature": rejected(with(func(e *protodsse.Envelope) { e.Signatures = nil }), "has 0 signatures"),
		"the signature twice": rejected(with(func(e *protodsse.Envelope) {
			e.Signatures = append(e.Signatures, e.Signatures[0])
		}), "has 2 signatures"),
		"another's signature before the right one": rejected(with(func(e *protodsse.Envelope) {
			theirs := bundletest.Sign(t, other, subject, tagged).GetDsseEnvelope().Signatures[0]
			e.Signatures = []*protodsse.Signature{theirs, e.Signatures[0]}
		}), "has 2 signatures"),
		"no payload": rejected(with(func(e *protodsse.Envelope) { e.Payload = nil }), "not an in-toto statement"),
		"another payload type": rejected(
			with(func(e *protodsse.Envelope) { e.PayloadType = "text/plain" }), `of type "text/plain"`),
		"a payload type with a space": rejected(
			with(func(e *protodsse.Envelope) { e.PayloadType += " " }), "its payload is of type"),
		"no payload type": rejected(with(func(e *protodsse.Envelope) { e.PayloadType = "" }), `of type ""`),
		"a predicate type that makes it an attestation": {
			replace("cosign/sign/v1", "cosign/sign/v2"), policy.Unsigned, "1 is an attestation (bundle-1.json has predicate",
		},
		"a signature by another key": rejected(
			bundletest.Sign(t, other, subject, tagged).JSON(t), "its hint names the key sha256:"),
	}
	hinted := good.Clone()
	hinted.VerificationMaterial.GetPublicKey().Hint = other.Hint(t)
	cases["the hint of another key"] = rejected(hinted.JSON(t), "its hint names the key sha256:")
	pretended := bundletest.Sign(t, other, subject, tagged)
	pretended.VerificationMaterial.GetPublicKey().Hint = key.Hint(t)
	cases["a signature by another key, with the right one's hint"] = rejected(pretended.JSON(t), notSigned)
	unhinted := bundletest.Sign(t, other, subject, tagged)
	unhinted.VerificationMaterial.GetPublicKey().Hint = ""
	cases["a signature by another key, without a hint"] = rejected(unhinted.JSON(t), notSigned)
	refuseAll(t, required(t, key.Requirement(t)), good, cases)
}

// TestTamperedStatementsAreRefused changes statements and signs them with the right key.
func TestTamperedStatementsAreRefused(t *testing.T) {
	key := bundletest.NewKey(t)
	good := bundletest.NewStatement(subject, tagged)
	signed := func(statement []byte) []byte { return bundletest.SignStatement(t, key, statement).JSON(t) }
	with := func(change func(*bundletest.Statement)) []byte {
		statement := bundletest.NewStatement(subject, tagged)
		change(&statement)
		return signed(statement.JSON(t))
	}
	replace := func(old, by string) []byte {
		return signed(bytes.Replace(good.JSON(t), []byte(old), []byte(by), 1))
	}
	otherSubject := bundletest.NewSubject(digest.FromString("other"), tagged)
	const no, anotherImage = "its payload is not an in-toto statement: ", "it signs another image"
	const notAccepted = "does not accept for registry.example/team/app:v1"
	refuseAll(t, required(t, key.Requirement(t)), bundletest.SignStatement(t, key, good.JSON(t)), map[string]tampered{
		"another repository": rejected(replace("team/app", "team/other"), notAccepted),
		"the annotation on another subject": {with(func(s *bundletest.Statement) {
			s.Subject = []bundletest.Subject{bundletest.NewSubject(subject, ""), otherSubject}
		}), nameless, "it names no repository"},
		"another subject's annotation is the right one": rejected(with(func(s *bundletest.Statement) {
			s.Subject = []bundletest.Subject{bundletest.NewSubject(subject, "registry.example/evil"), otherSubject}
		}), notAccepted),
		"an annotation on the statement": rejected(
			replace(`"_type"`, `"annotations":{"docker-reference":"`+tagged+`"},"_type"`), no+`unknown key "annotations"`),
		"an annotation that is a list": rejected(with(func(s *bundletest.Statement) {
			s.Subject[0].Annotations["docker-reference"] = []string{tagged}
		}), notAccepted),
		"an annotation that is null": rejected(with(func(s *bundletest.Statement) {
			s.Subject[0].Annotations["docker-reference"] = nil
		}), notAccepted),
		"an empty annotation": rejected(with(func(s *bundletest.Statement) {
			s.Subject[0].Annotations["docker-reference"] = ""
		}), notAccepted),
		"an annotation of almost that name": {with(func(s *bundletest.Statement) {
			s.Subject[0].Annotations = map[string]any{"Docker-Reference": tagged}
		}), nameless, ""},
		"the annotation twice": rejected(
			replace(`"docker-reference"`, `"docker-reference":"registry.example/evil","docker-reference"`), no),
		"the subject twice": rejected(replace(`"subject"`, `"subject":[],"subject"`), no),
		"the subject in capitals": rejected(
			replace(`"subject"`, `"Subject":[],"subject"`), no+`unknown key "Subject"`),
		"a digest twice": rejected(replace(`"sha256"`, `"sha256":"ab","sha256"`), no),
		"a digest in capitals": rejected(
			replace(subject.Encoded(), strings.ToUpper(subject.Encoded())), anotherImage),
		"two digests, of two images": rejected(with(func(s *bundletest.Statement) {
			s.Subject[0].Digest["sha512"] = digest.SHA512.FromString("other").Encoded()
		}), anotherImage),
		"a digest of an unknown algorithm": rejected(replace(`"sha256"`, `"sha257"`), anotherImage),
		"a digest that is not a string":    rejected(replace(`"`+subject.Encoded()+`"`, "7"), no+"subject 1: "),
		"no subject": rejected(with(func(s *bundletest.Statement) {
			s.Subject = []bundletest.Subject{}
		}), anotherImage),
		"a subject that is null": rejected(with(func(s *bundletest.Statement) { s.Subject = nil }), no),
		"a thousand subjects": rejected(with(func(s *bundletest.Statement) {
			for i := range 1000 {
				s.Subject = append(s.Subject, bundletest.NewSubject(digest.FromString(fmt.Sprint(i)), ""))
			}
		}), "more than 64 subjects"),
		"a thousand digests": rejected(with(func(s *bundletest.Statement) {
			for i := range 1000 {
				s.Subject[0].Digest[fmt.Sprintf("algorithm-%d", i)] = "ab"
			}
		}), "more than 16 digests"),
		"a large predicate": rejected(with(func(s *bundletest.Statement) {
			s.Predicate = map[string]any{"x": strings.Repeat("x", 70_000)}
		}), "larger than 65536 bytes"),
		"an older statement": rejected(replace("Statement/v1", "Statement/v0.1"), `Statement/v0.1", not https`),
		"no type":            rejected(replace(`"_type":"https://in-toto.io/Statement/v1",`, ""), `of type ""`),
		"the type in protobuf's name": rejected(
			replace(`"_type"`, `"type"`), no+`unknown key "type"`),
		"no predicate type": {replace(`"predicateType":"https://sigstore.dev/cosign/sign/v1",`, ""), policy.Unsigned, ""},
		"data after the statement": rejected(
			signed(append(good.JSON(t), '{', '}')), no+"there is data after the statement"),
		"half a statement": rejected(signed(good.JSON(t)[:100]), no),
		"a list":           rejected(signed([]byte("[]")), no),
		"no JSON":          rejected(signed([]byte("\x00")), no),
		"bytes that are not UTF-8": rejected(
			replace("team/app", "team/\xff"), no),
	})
}

// TestTamperedBundlesAreRefused changes the bundle around the envelope.
func TestTamperedBundlesAreRefused(t *testing.T) {
	key := bundletest.NewKey(t)
	good := bundletest.Sign(t, key, subject, tagged)
	var compact bytes.Buffer
	if err := json.Compact(&compact, good.JSON(t)); err != nil {
		t.Fatal(err)
	}
	raw := compact.Bytes()
	with := func(change func(bundletest.Bundle)) []byte {
		changed := good.Clone()
		change(changed)
		return changed.JSON(t)
	}
	replace := func(old, by string) []byte {
		return bytes.Replace(raw, []byte(old), []byte(by), 1)
	}
	mediaType := func(mediaType string) []byte {
		return with(func(b bundletest.Bundle) { b.MediaType = mediaType })
	}
	message := &protobundle.Bundle_MessageSignature{MessageSignature: &common.MessageSignature{
		MessageDigest: &common.HashOutput{Algorithm: common.HashAlgorithm_SHA2_256, Digest: []byte(subject.Encoded())},
		Signature:     []byte("x"),
	}}
	const no, unsupported = "it is not a Sigstore bundle: ", "unsupported media type"
	refuseAll(t, required(t, key.Requirement(t)), good, map[string]tampered{
		"empty":              rejected(nil, no),
		"a null":             rejected([]byte("null"), no),
		"a list":             rejected([]byte("[]"), no),
		"nothing in it":      rejected([]byte("{}"), "no verification material"),
		"truncated":          rejected(raw[:len(raw)-20], no),
		"data after it":      rejected(append(bytes.Clone(raw), raw...), no),
		"an unknown key":     rejected(replace(`{"mediaType"`, `{"extra":1,"mediaType"`), no),
		"a key twice":        rejected(replace(`{"mediaType"`, `{"mediaType":"x","mediaType"`), no),
		"the envelope twice": rejected(replace(`"dsseEnvelope"`, `"dsseEnvelope":{},"dsseEnvelope"`), no),
		"a message signature and an envelope": rejected(
			replace(`"dsseEnvelope"`, `"messageSignature":{},"dsseEnvelope"`), no),
		"no base64":         rejected(replace(`"payload":"`, `"payload":"!`), no),
		"media type v0.1":   rejected(mediaType("application/vnd.dev.sigstore.bundle+json;version=0.1"), "v0.3"),
		"media type v0.2":   rejected(mediaType("application/vnd.dev.sigstore.bundle.v0.2+json"), "v0.3"),
		"media type v0.4":   rejected(mediaType("application/vnd.dev.sigstore.bundle.v0.4+json"), unsupported),
		"media type v0.3.1": rejected(mediaType("application/vnd.dev.sigstore.bundle.v0.3.1+json"), "that of a bundle v0.3"),
		"no media type":     rejected(mediaType(""), unsupported),
		"a message signature": rejected(with(func(b bundletest.Bundle) {
			b.Content = message
		}), "it contains a message signature"),
		"no content": rejected(with(func(b bundletest.Bundle) { b.Content = nil }), "missing bundle content"),
		"no verification material": rejected(with(func(b bundletest.Bundle) {
			b.VerificationMaterial = nil
		}), "no verification material"),
		"no key": rejected(with(func(b bundletest.Bundle) {
			b.VerificationMaterial.Content = nil
		}), "missing verification material"),
		"thousands of elements": rejected(
			replace(`"publicKey"`, `"tlogEntries":[`+strings.Repeat("{},", 3000)+`{}],"publicKey"`), "more than 4096 elements"),
	})
}

// refuseAll checks that a bundle is accepted, and each changed one is not.
func refuseAll(
	t *testing.T, requirement *policy.Requirement, good bundletest.Bundle, cases map[string]tampered,
) {
	t.Helper()
	app := newSample(t, manifest, good.JSON(t))
	wantFinding(t, app.judge(t, requirement), policy.Accepted, "")
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, manifest, test.raw)
			wantFinding(t, app.judge(t, requirement), test.want, test.detail)
		})
	}
}
