package signature_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// TestRequirementsThatNothingMeets: each image has a signature that would be accepted if the requirement had no
// problem. containers/image denies every signature; this package reports the problem when the document is loaded.
func TestRequirementsThatNothingMeets(t *testing.T) {
	key, log, gpg := signaturetest.NewKey(t), signaturetest.NewKey(t), newGPGKey(t, nil)
	exchange, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	root := signaturetest.NewAuthority(t, "root", now.Add(-time.Hour), now.Add(time.Hour), nil)
	certificate := leaf(t, root, now.Add(-time.Hour), now.Add(time.Hour))
	raw := signaturetest.Manifest("app")
	pinned := digest.FromBytes(raw)
	good, other := signaturetest.PublicPEM(t, key.Public()), signaturetest.PublicPEM(t, exchange.PublicKey())
	byKey := signaturetest.Sign(t, key, appReference, pinned).File(t)
	byLog := signaturetest.Sign(t, key, appReference, pinned).Logged(t, log, good, now).File(t)
	byRoot := signaturetest.Sign(t, certificate.Key, appReference, pinned).Certified(certificate).File(t)
	byGPG := gpgSigned(t, gpg, pinned)
	ring := data(keyring(t, gpg))
	authority := func(members map[string]any) string {
		members["subjectEmail"] = "build@example.com"
		return `"pki":` + data(members)
	}
	for name, test := range map[string]struct {
		requirement string
		signature   []byte
		problem     string
	}{
		"no PEM": {sigstoreSigned(someKey, ""), byKey, "parsing public key 1"},
		"the second is not a key": {
			sigstoreSigned(`"keyDatas":`+data([][]byte{good, nil}), ""), byKey,
			"parsing public key 2",
		},
		"a key of a kind that signs nothing": {
			sigstoreSigned(`"keyDatas":`+data([][]byte{good, other}), ""), byKey, "public key 2 cannot be used",
		},
		"the log's key is none": {
			sigstoreSigned(`"keyData":`+data(good)+`,"rekorPublicKeyData":""`, ""), byLog,
			"parsing public key 1 of Rekor",
		},
		"the log's key is RSA": {
			sigstoreSigned(`"keyData":`+data(good)+`,"rekorPublicKeyDatas":`+
				data([][]byte{signaturetest.PublicPEM(t, log.Public()), fixture(t, "some-rsa-key.pub")}), ""),
			byLog, "public key 2 of Rekor is not an ECDSA key",
		},
		"Fulcio without certificates": {
			sigstoreSigned(`"fulcio":{"caData":"","oidcIssuer":"i","subjectEmail":"e"},"rekorPublicKeyData":`+
				data(signaturetest.PublicPEM(t, log.Public())), ""), byLog, "the Fulcio CA certificates contain no certificate",
		},
		"roots without certificates": {
			sigstoreSigned(authority(map[string]any{"caRootsData": good}), ""), byRoot, "the CA roots contain no certificate",
		},
		"intermediates that are none": {
			sigstoreSigned(authority(map[string]any{"caRootsData": root.PEM, "caIntermediatesData": good}), ""),
			byRoot, "parsing the CA intermediates",
		},
		"GPG, no keyring": {signedBy(someKey, ""), byGPG, "not an OpenPGP keyring"},
		"GPG, no key":     {signedBy(`"keyData":""`, ""), byGPG, "the keyring contains no key"},
		"GPG, no file":    {signedBy(`"keyPaths":[]`, ""), byGPG, "the keyring contains no key"},
		"GPG, keys that sign keys": {
			`{"type":"signedBy","keyType":"signedByGPGKeys","keyData":` + ring + `}`, byGPG,
			"keyType signedByGPGKeys is not implemented",
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, raw, test.signature)
			if err := bare(t.Context(), containersPolicy(t, list(test.requirement)), named(t, appReference), app); err == nil {
				t.Fatal("containers/image accepts it")
			}
			requirement := parse(t, test.requirement)[0]
			if !strings.Contains(requirement.Problem, test.problem) {
				t.Errorf("the problem is %q, want %q", requirement.Problem, test.problem)
			}
			if len(requirement.JSON) != 0 || !requirement.NeedsEvidence {
				t.Errorf("%q, needs evidence: %t", requirement.JSON, requirement.NeedsEvidence)
			}
		})
	}
}

// TestRequirementsThatCanBeMet fixes the problems of the table above.
func TestRequirementsThatCanBeMet(t *testing.T) {
	key, log := signaturetest.NewKey(t), signaturetest.NewKey(t)
	now := time.Now()
	root := signaturetest.NewAuthority(t, "root", now.Add(-time.Hour), now.Add(time.Hour), nil)
	certificate := leaf(t, root, now.Add(-time.Hour), now.Add(time.Hour))
	exchange, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw := signaturetest.Manifest("app")
	pinned := digest.FromBytes(raw)
	good := signaturetest.PublicPEM(t, key.Public())
	for name, test := range map[string]struct {
		requirement string
		signature   []byte
	}{
		// With a log, only the key in the log's entry is used.
		"a key that signs nothing, with a log": {
			sigstoreSigned(`"keyDatas":`+data([][]byte{good, signaturetest.PublicPEM(t, exchange.PublicKey())})+
				`,"rekorPublicKeyData":`+data(signaturetest.PublicPEM(t, log.Public())), ""),
			signaturetest.Sign(t, key, appReference, pinned).Logged(t, log, good, now).File(t),
		},
		"intermediates of no certificate": {
			sigstoreSigned(`"pki":`+data(map[string]any{
				"caRootsData": root.PEM, "caIntermediatesData": []byte{}, "subjectEmail": "build@example.com",
			}), ""),
			signaturetest.Sign(t, certificate.Key, appReference, pinned).Certified(certificate).File(t),
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, raw, test.signature)
			if err := bare(t.Context(), containersPolicy(t, list(test.requirement)), named(t, appReference), app); err != nil {
				t.Fatalf("containers/image denies it: %v", err)
			}
			finding := judgeAll(t, signature.NewJudge(), parse(t, test.requirement), named(t, appReference), app)
			if reason(finding) != policy.Accepted {
				t.Errorf("%s: %s", reason(finding), finding.Detail)
			}
		})
	}
}
