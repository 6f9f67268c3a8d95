package bundle

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// maxRSA limits the size of RSA keys in bundles, in bits: the cost of a verification is quadratic. crypto/tls has the
// same limit.
const maxRSA = 8192

// key is a public key of a requirement.
type key struct {
	*verifier
	// fingerprint is the hash of the key that cosign and sigstore-go write into a bundle's hint.
	fingerprint [sha256.Size]byte
}

// publicKeys parses keys in PEM. Without any keys it returns nil.
func publicKeys(one []byte, several [][]byte) ([]crypto.PublicKey, error) {
	if one != nil && several != nil {
		return nil, errors.New("there are both a single key and a list")
	}
	if one != nil {
		several = [][]byte{one}
	}
	if several == nil {
		return nil, nil
	}
	if len(several) == 0 {
		return nil, errors.New("the list is empty")
	}
	keys := make([]crypto.PublicKey, len(several))
	for i, raw := range several {
		public, err := cryptoutils.UnmarshalPEMToPublicKey(raw)
		if err != nil {
			return nil, fmt.Errorf("parsing public key %d: %w", i+1, err)
		}
		keys[i] = public
	}
	return keys, nil
}

// parseKeys parses the keys of a requirement. With the field hash, which is an extension, its RSA keys sign with that
// hash only.
func parseKeys(d document) ([]*key, error) {
	publics, err := publicKeys(d.KeyData, d.KeyDatas)
	if err != nil {
		return nil, err
	}
	var named crypto.Hash
	switch d.Hash {
	case "":
	case "sha384":
		named = crypto.SHA384
	case "sha512":
		named = crypto.SHA512
	default:
		return nil, fmt.Errorf("hash is %q", d.Hash)
	}
	keys := make([]*key, len(publics))
	for i, public := range publics {
		der, err := marshal(public)
		if err != nil {
			return nil, fmt.Errorf("public key %d: %w", i+1, err)
		}
		// A key of an unsupported kind is not an error: containers/image accepts it in addition to a key of Rekor.
		keys[i] = &key{verifier: newVerifier(public), fingerprint: sha256.Sum256(der)}
		if one, ok := public.(*rsa.PublicKey); ok && named != 0 {
			keys[i].verifier = &verifier{public: public}
			keys[i].add(signature.LoadRSAPKCS1v15Verifier(one, named))
			keys[i].add(signature.LoadRSAPSSVerifier(one, named, nil))
		}
	}
	return keys, nil
}

func marshal(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encoding the key: %w", err)
	}
	return der, nil
}

// signatureHash returns the hash with which a Rekor log signs its checkpoints. Its promises always use SHA-256.
func signatureHash(public crypto.PublicKey) (crypto.Hash, error) {
	ec, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return 0, errors.New("it is not an ECDSA key, and no other kind is supported")
	}
	switch ec.Curve {
	case elliptic.P384():
		return crypto.SHA384, nil
	case elliptic.P521():
		return crypto.SHA512, nil
	default:
		return crypto.SHA256, nil
	}
}

// verifier verifies with one key and any of the algorithms that signers use with its kind, because bundles do not
// contain the algorithm.
type verifier struct {
	public     crypto.PublicKey
	algorithms []signature.Verifier
}

// newVerifier returns a verifier for a key. With a key of an unsupported kind it accepts nothing.
//
// The first algorithm of each kind is the one that cosign 3.1.3 uses. The others are those of older clients (SHA-256
// with the larger curves), of clients based on sigstore-go (Ed25519 without prehashing), and RSA-PSS from Sigstore's
// registry of algorithms. No signature is valid under two of them.
func newVerifier(public crypto.PublicKey) *verifier {
	v := &verifier{public: public}
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			v.add(signature.LoadECDSAVerifier(public, crypto.SHA256))
		case elliptic.P384():
			v.add(signature.LoadECDSAVerifier(public, crypto.SHA384))
			v.add(signature.LoadECDSAVerifier(public, crypto.SHA256))
		case elliptic.P521():
			v.add(signature.LoadECDSAVerifier(public, crypto.SHA512))
			v.add(signature.LoadECDSAVerifier(public, crypto.SHA256))
		}
	case ed25519.PublicKey:
		v.add(signature.LoadED25519phVerifier(public))
		v.add(signature.LoadED25519Verifier(public))
	case *rsa.PublicKey:
		v.add(signature.LoadRSAPKCS1v15Verifier(public, crypto.SHA256))
		v.add(signature.LoadRSAPSSVerifier(public, crypto.SHA256, nil))
	}
	return v
}

func (v *verifier) add(algorithm signature.Verifier, err error) {
	if err == nil {
		v.algorithms = append(v.algorithms, algorithm)
	}
}

// VerifySignature implements [signature.Verifier].
func (v *verifier) VerifySignature(sig, message io.Reader, opts ...signature.VerifyOption) error {
	if len(v.algorithms) == 1 {
		return v.algorithms[0].VerifySignature(sig, message, opts...)
	}
	rawSignature, err := io.ReadAll(sig)
	if err != nil {
		return fmt.Errorf("reading the signature: %w", err)
	}
	rawMessage, err := io.ReadAll(message)
	if err != nil {
		return fmt.Errorf("reading the message: %w", err)
	}
	failure := errors.New("keys of this kind are not supported")
	for _, algorithm := range v.algorithms {
		if failure = algorithm.VerifySignature(
			bytes.NewReader(rawSignature), bytes.NewReader(rawMessage), opts...); failure == nil {
			return nil
		}
	}
	return failure
}

// PublicKey implements [signature.Verifier].
func (v *verifier) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return v.public, nil
}

// ValidAtTime implements root.TimeConstrainedVerifier: keys in a policy do not expire, and the validity of a
// certificate is checked with its chain.
func (v *verifier) ValidAtTime(time.Time) bool { return true }

// hinted returns the keys that a bundle's hint allows. A hint is not signed and only saves attempts: if it is the hash
// of a key, as cosign writes it, no other key is tried; otherwise all are.
func (r *requirement) hinted(hint string) []*key {
	fingerprint, err := base64.StdEncoding.DecodeString(hint)
	if err != nil || len(fingerprint) != sha256.Size {
		return r.keys
	}
	var named []*key
	for _, key := range r.keys {
		if bytes.Equal(key.fingerprint[:], fingerprint) {
			named = append(named, key)
		}
	}
	return named
}
