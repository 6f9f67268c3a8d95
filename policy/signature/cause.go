package signature

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// phrases are the error texts of containers/image (v5.42.0), with their causes. It joins the errors of all signatures
// in one text and does not export types for them. If several phrases are found, the cause nearest to acceptance counts.
func phrases() map[string]policy.Cause {
	return map[string]policy.Cause{
		"no signature exists":                         policy.NoSignature,
		"non-signature attachments":                   policy.OnlyAttestations,
		"not signed":                                  policy.Malformed,
		"Unexpected empty signature content":          policy.Malformed,
		"missing dev.cosignproject.cosign/signature":  policy.Malformed,
		"base64 decoding":                             policy.Malformed,
		"Signature for digest":                        policy.OtherImage,
		"cryptographic signature verification failed": policy.OtherKey,
		"Key not found for key ID":                    policy.OtherKey,
		"is not accepted":                             policy.OtherKey,
		"signature error":                             policy.OtherKey,
		"veryfing leaf certificate failed":            policy.OtherSigner,
		"Unexpected Fulcio OIDC issuer":               policy.OtherSigner,
		"Required email":                              policy.OtherSigner,
		"Unexpected subject hostname":                 policy.OtherSigner,
		"missing dev.sigstore.cosign/certificate":     policy.OtherSigner,
		"missing dev.sigstore.cosign/bundle":          policy.NotLogged,
		"No public key verified against the RekorSET": policy.NotLogged,
		"verification of Rekor SET failed":            policy.NotLogged,
		"Signature for identity":                      policy.OtherName,
	}
}

// causeOf returns the cause of a detail of containers/image, or an empty one if the text is unknown.
func causeOf(detail string) (cause policy.Cause) {
	for phrase, of := range phrases() {
		if strings.Contains(detail, phrase) {
			cause = cause.Nearer(of)
		}
	}
	return cause
}

// describeKeys lists the keys that the requirement trusts, if signatures are by others: containers/image does not list
// them.
func (r *compiled) describeKeys(cause policy.Cause) string {
	const most = 4
	if cause != policy.OtherKey || len(r.keys) == 0 {
		return ""
	}
	return "; the requirement trusts " + text.List(r.keys, most)
}

// keyringFingerprints returns the fingerprints of a signedBy requirement's keys, as in gpg --list-keys.
func keyringFingerprints(requirement *policy.Requirement) (all []string) {
	var keys trust
	if json.Unmarshal(requirement.JSON, &keys) != nil {
		return nil
	}
	ring, err := openpgp.ReadKeyRing(bytes.NewReader(keys.KeyData))
	if err != nil {
		return nil
	}
	for _, sum := range fingerprints(ring) {
		all = append(all, fmt.Sprintf("%X", sum))
	}
	return all
}

// publicKeyFingerprints returns the fingerprints of a sigstoreSigned requirement's keys: the SHA-256 of their DER form,
// as in openssl pkey -pubin -outform DER | sha256sum. A key that cannot be parsed is skipped: it is the requirement's
// Problem.
func publicKeyFingerprints(requirement *policy.Requirement) (all []string) {
	var keys trust
	if json.Unmarshal(requirement.JSON, &keys) != nil {
		return nil
	}
	public, err := publicKeys("", keys.KeyData, keys.KeyDatas)
	if err != nil {
		return nil
	}
	for _, key := range public {
		if der, err := x509.MarshalPKIXPublicKey(key); err == nil {
			sum := sha256.Sum256(der)
			all = append(all, "sha256:"+hex.EncodeToString(sum[:]))
		}
	}
	return all
}
