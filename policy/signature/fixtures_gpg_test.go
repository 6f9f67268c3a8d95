package signature_test

import (
	"github.com/countersign/countersign/policy"
)

func gpgFixtures() map[string]fixtureCase {
	const (
		manifest = "image.manifest.json"
		latest   = "testing/manifest:latest"
	)
	key := signedBy(keyPath("public-key.gpg"), "")
	anyTag := signedBy(keyPath("public-key.gpg"), matchRepository)
	return map[string]fixtureCase{
		"GPG":                            {manifest, "valid.signature", latest, key, policy.Accepted},
		"GPG, another tag":               {manifest, "valid.signature", "testing/manifest:other", key, policy.Rejected},
		"GPG, two good ones":             {manifest, "valid.signature valid-2.signature", latest, key, policy.Accepted},
		"GPG, a bad one before the good": {manifest, "unknown-key.signature valid.signature", latest, key, policy.Accepted},
		"GPG, another manifest":          {"modified.manifest.json", "valid.signature", latest, key, policy.Rejected},
		"GPG, unsigned":                  {manifest, "", latest, key, policy.Unsigned},
		"GPG, image":                     {manifest, "image.signature", "testing/manifest", anyTag, policy.Accepted},
		"GPG, no optional fields": {
			manifest, "no-optional-fields.signature", "testing/manifest", anyTag,
			policy.Accepted,
		},
		"GPG, corrupt":                  {manifest, "corrupt.signature", "testing/manifest", anyTag, policy.Rejected},
		"GPG, the key has expired":      {manifest, "expired.signature", "testing/manifest", anyTag, policy.Rejected},
		"GPG, an unknown key":           {manifest, "unknown-key.signature", "testing/manifest", anyTag, policy.Rejected},
		"GPG, a statement that is none": {manifest, "invalid-blob.signature", "testing/manifest", anyTag, policy.Rejected},
		"GPG, another image's name": {
			manifest, "invalid-reference.signature", "testing/manifest", anyTag,
			policy.Rejected,
		},
		"GPG, a literal without signature": {
			manifest, "unsigned-literal.signature", "testing/manifest", anyTag,
			policy.Rejected,
		},
		"GPG, encrypted without signature": {
			manifest, "unsigned-encrypted.signature", "testing/manifest", anyTag,
			policy.Unavailable,
		},
		"GPG, cleartext": {
			manifest, "invalid-cleartext.signature", "testing/manifest", anyTag,
			policy.Unavailable,
		},
		"GPG, both kinds of signature": {
			manifest, "cosign-valid.signature valid.signature", latest, key,
			policy.Accepted,
		},
		"GPG, a signature of another kind": {manifest, "cosign-valid.signature", latest, key, policy.Rejected},
		"GPG, a key for certificates": {
			manifest, "valid.signature", latest,
			signedBy(keyPath("some-rsa-key.pub"), ""), policy.InvalidPolicy,
		},
		"GPG, a subkey": {
			manifest, "subkey.signature", "testing/manifest",
			signedBy(keyPath("public-key-with-subkey.gpg"), matchRepository), policy.Accepted,
		},
		"GPG, a subkey, in the format of version 3": {
			manifest, "subkey.signature-v3", "testing/manifest",
			signedBy(keyPath("public-key-with-subkey.gpg"), matchRepository), policy.Rejected,
		},
		"GPG, a revoked subkey": {
			manifest, "subkey-revoked.signature", "testing/manifest",
			signedBy(keyPath("public-key-with-revoked-subkey.gpg"), matchRepository), policy.Rejected,
		},
		"GPG, the second of two keyrings": {
			manifest, "subkey.signature", "testing/manifest",
			signedBy(keyPaths("public-key.gpg", "public-key-with-subkey.gpg"), matchRepository), policy.Accepted,
		},
		"GPG, one of two keyrings is none": {
			manifest, "valid.signature", latest, signedBy(keyPaths("public-key.gpg", "cosign.pub"), ""), policy.InvalidPolicy,
		},
	}
}
