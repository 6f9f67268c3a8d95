package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/countersign/countersign/policy"
)

// phrases are how containers/image (v5.42.0) says what is wrong with a signature, and what that is. It joins the errors
// of all signatures in one text, and gives them no type that would tell them apart. What is found of these is the
// cause; of several, the one nearest to acceptance.
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

// causeOf returns what keeps a requirement from being met, by what containers/image says; it is empty where that says
// something else.
func causeOf(detail string) (cause policy.Cause) {
	for phrase, of := range phrases() {
		if strings.Contains(detail, phrase) {
			cause = cause.Nearer(of)
		}
	}
	return cause
}

// describeKeys says which keys the requirement trusts, where the signatures are by others: containers/image does not.
func (r *compiled) describeKeys(cause policy.Cause) string {
	const most = 4
	if cause != policy.OtherKey || len(r.keys) == 0 {
		return ""
	}
	keys := strings.Join(r.keys[:min(most, len(r.keys))], ", ")
	if len(r.keys) > most {
		keys += fmt.Sprintf(" and %d more", len(r.keys)-most)
	}
	return "; the requirement trusts " + keys
}

// keyringFingerprints returns the fingerprints of a signedBy requirement's keys, as gpg --list-keys prints them.
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
// as openssl pkey -pubin -outform DER | sha256sum prints it. A key that cannot be read is left out: it has been
// reported as the requirement's problem.
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
			all = append(all, "sha256:"+hex.EncodeToString(sum[:])+limits(key))
		}
	}
	return all
}

// limits says of a key that what cosign 3.1.3 signs with it in the old format is not accepted: containers/image v5.42.0
// verifies each kind of key with SHA-256, and Ed25519 without hashing before (internal/sigstore_payload.go).
func limits(key crypto.PublicKey) string {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if size := key.Curve.Params().BitSize; size == 384 || size == 521 {
			return fmt.Sprintf(" (ECDSA on P-%d, with which cosign's old format has another hash, where containers/image "+
				"verifies SHA-256: sign with a bundle)", size)
		}
	case ed25519.PublicKey:
		return " (Ed25519, with which cosign's old format signs a hash, where containers/image verifies the statement: " +
			"sign with a bundle)"
	}
	return ""
}
