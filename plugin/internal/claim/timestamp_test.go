package claim_test

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/claim"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// TestTimestampsAreClaimsUntilATrustedRootVerifiesThem, in bundles and in cosign's old format. No other time is known:
// the bundle's signature is recorded by Rekor v2.
func TestTimestampsAreClaimsUntilATrustedRootVerifiesThem(t *testing.T) {
	ours, theirs := bundletest.NewServices(t), bundletest.NewServices(t)
	manifest := digest.FromString("manifest")
	by := bundletest.Identity{Email: "a@example.com", Issuer: "https://issuer.example"}
	bundle := ours.SignSeen(t, by, manifest, "registry.example/app", bundletest.Seen{Log: true, Stamper: true}).JSON(t)
	for name, file := range map[string]format.File{
		"a bundle":       {Kind: format.KindBundle, Bytes: bundle},
		"the old format": {Kind: format.KindSignature, Bytes: stampedOld(t, ours, signaturetest.NewKey(t), manifest)},
	} {
		t.Run(name, func(t *testing.T) {
			read := func() claim.Claim { return claim.Of([]format.File{file})[0] }
			unverified, verified, foreign := read(), read(), read()
			if len(unverified.Timestamps) != 1 || unverified.Time != "" {
				t.Fatalf("it claims %+v", unverified)
			}
			if at, err := time.Parse(time.RFC3339, unverified.Timestamps[0].Time); err != nil || at.IsZero() {
				t.Errorf("it claims the time %q", unverified.Timestamps[0].Time)
			}
			verified.VerifyTimestamps(authorities(t, ours).Verify)
			foreign.VerifyTimestamps(authorities(t, theirs).Verify)
			for _, test := range []struct {
				got      claim.Timestamp
				verified bool
				says     string
			}{
				{unverified.Timestamps[0], false, ", unverified"},
				{verified.Timestamps[0], true, ", verified: a timestamp authority of the trusted root has seen"},
				{foreign.Timestamps[0], false, ", not by the trusted root: "},
			} {
				if test.got.Verified != test.verified || !strings.Contains(test.got.String(), test.says) {
					t.Errorf("%+v: %s, want %q", test.got, test.got, test.says)
				}
			}
		})
	}
}

// TestATimestampOfAnotherSignatureIsNotVerified.
func TestATimestampOfAnotherSignatureIsNotVerified(t *testing.T) {
	ours := bundletest.NewServices(t)
	by := bundletest.Identity{Email: "a@example.com", Issuer: "https://issuer.example"}
	sign := func(of string) bundletest.Bundle {
		return ours.SignSeen(t, by, digest.FromString(of), "", bundletest.Seen{Stamper: true})
	}
	moved, other := sign("one"), sign("two")
	moved.VerificationMaterial.TimestampVerificationData = other.VerificationMaterial.TimestampVerificationData
	got := claim.Of([]format.File{{Kind: format.KindBundle, Bytes: moved.JSON(t)}})[0]
	got.VerifyTimestamps(authorities(t, ours).Verify)
	if len(got.Timestamps) != 1 || got.Timestamps[0].Verified || got.Timestamps[0].Problem == "" {
		t.Errorf("%+v", got.Timestamps)
	}
}

func TestATimestampThatCannotBeReadIsShown(t *testing.T) {
	ours := bundletest.NewServices(t)
	bundle := ours.Sign(t, bundletest.Identity{Email: "a@example.com", Issuer: "https://issuer.example"},
		digest.FromString("one"), "")
	bundle.Stamp([]byte("nothing"))
	got := claim.Of([]format.File{{Kind: format.KindBundle, Bytes: bundle.JSON(t)}})[0]
	if len(got.Timestamps) != 1 || !strings.HasPrefix(got.Timestamps[0].String(), "unreadable: ") {
		t.Errorf("%+v", got.Timestamps)
	}
}

func authorities(t *testing.T, of *bundletest.Services) *signature.TimestampAuthorities {
	t.Helper()
	read, err := signature.ReadTimestampAuthorities(of.File(t).JSON(t))
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// stampedOld returns a signature in cosign's old format with a timestamp.
func stampedOld(t *testing.T, by *bundletest.Services, key *ecdsa.PrivateKey, manifest digest.Digest) []byte {
	t.Helper()
	signed := signaturetest.Sign(t, key, "registry.example/app", manifest)
	raw, err := base64.StdEncoding.DecodeString(signed.Annotations["dev.cosignproject.cosign/signature"])
	if err != nil {
		t.Fatal(err)
	}
	stamp, err := json.Marshal(map[string][]byte{"SignedRFC3161Timestamp": by.Stamper.Stamp(t, raw, time.Now())})
	if err != nil {
		t.Fatal(err)
	}
	signed.Annotations["dev.sigstore.cosign/rfc3161timestamp"] = string(stamp)
	return signed.File(t)
}
