package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	sigstore "github.com/sigstore/sigstore/pkg/signature"
)

// hashField is the field of a sigstoreSigned requirement that names the hash with which its RSA keys sign.
const hashField = "hash"

// hashOf returns the hash that the field names, or zero if there is none.
func hashOf(name string) (crypto.Hash, error) {
	switch name {
	case "":
		return 0, nil
	case "sha384":
		return crypto.SHA384, nil
	case "sha512":
		return crypto.SHA512, nil
	default:
		return 0, fmt.Errorf("it is %q and must be %q or %q", name, "sha384", "sha512")
	}
}

// checkHash checks the field in a requirement. It reports whether it is there.
func checkHash(members []member) (there bool, err error) {
	for _, one := range members {
		if one.name != hashField {
			continue
		}
		if there {
			return false, &offsetError{one.offset, fmt.Errorf("duplicate key %q", hashField)}
		}
		if err := checkHashValue(one.value); err != nil {
			return false, &offsetError{one.offset, err}
		}
		there = true
	}
	for _, one := range members {
		if there && (one.name == "fulcio" || one.name == "pki") {
			return false, &offsetError{one.offset, fmt.Errorf("%q: hash is for keys only", one.name)}
		}
	}
	return there, nil
}

// checkHashValue returns an error unless the value names a hash.
func checkHashValue(value []byte) error {
	if value[0] != '"' {
		return fmt.Errorf("%q is %s and must be a string", hashField, article(kindOfValue(value[0])))
	}
	var name string
	if err := json.Unmarshal(value, &name); err != nil {
		return fmt.Errorf("%q: %w", hashField, err)
	}
	if name == "" {
		return errors.New(`"hash" is empty`)
	}
	if _, err := hashOf(name); err != nil {
		return fmt.Errorf("%q: %w", hashField, err)
	}
	return nil
}

// checkHashKeys returns an error if a requirement with a hash has a key that does not sign with it.
func checkHashKeys(keys []crypto.PublicKey) error {
	for i, key := range keys {
		if _, ok := key.(*rsa.PublicKey); !ok {
			return fmt.Errorf("public key %d is not an RSA key, and the hash of every other key is known", i+1)
		}
	}
	return nil
}

// otherVerifier returns a verifier for the hash that belongs to the key, as cosign signs in the old format:
// containers/image (v5.42.0) verifies every kind of key with SHA-256, and Ed25519 without prehashing
// (internal/sigstore_payload.go). It returns false if there is no other hash. named is the hash of RSA keys.
func otherVerifier(public crypto.PublicKey, named crypto.Hash) (verifier sigstore.Verifier, ok bool) {
	var err error
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P384():
			verifier, err = sigstore.LoadECDSAVerifier(public, crypto.SHA384)
		case elliptic.P521():
			verifier, err = sigstore.LoadECDSAVerifier(public, crypto.SHA512)
		default:
			return nil, false
		}
	case ed25519.PublicKey:
		verifier, err = sigstore.LoadED25519phVerifier(public)
	case *rsa.PublicKey:
		if named == 0 {
			return nil, false
		}
		verifier, err = sigstore.LoadRSAPKCS1v15Verifier(public, named)
	default:
		return nil, false
	}
	return verifier, err == nil
}
