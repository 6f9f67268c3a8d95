package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"github.com/countersign/countersign/policy/internal/fulcio"
)

// trust contains what a sigstoreSigned requirement trusts, without paths.
type trust struct {
	KeyData             []byte   `json:"keyData"`
	KeyDatas            [][]byte `json:"keyDatas"`
	RekorPublicKeyData  []byte   `json:"rekorPublicKeyData"`
	RekorPublicKeyDatas [][]byte `json:"rekorPublicKeyDatas"`
	TrustedRootData     []byte   `json:"trustedRootData"`
	TLog                string   `json:"tlog"`
	Hash                string   `json:"hash"`
	Fulcio              *struct {
		fulcio.Identity

		CAData []byte `json:"caData"`
	} `json:"fulcio"`
	PKI *struct {
		CARootsData         []byte `json:"caRootsData"`
		CAIntermediatesData []byte `json:"caIntermediatesData"`
	} `json:"pki"`
	SignedIdentity json.RawMessage `json:"signedIdentity"`
}

// checkKeys returns an error if containers/image would deny every signature because of the keys of a requirement: it
// parses them for every signature, and a single invalid key denies all (policy_eval_sigstore.go, prepareTrustRoot,
// v5.42.0).
func checkKeys(requirement []byte) error {
	var t trust
	if err := json.Unmarshal(requirement, &t); err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	rekorKeys, err := publicKeys(" of Rekor", t.RekorPublicKeyData, t.RekorPublicKeyDatas)
	if err != nil {
		return err
	}
	for i, key := range rekorKeys {
		if _, ok := key.(*ecdsa.PublicKey); !ok {
			return fmt.Errorf("public key %d of Rekor is not an ECDSA key, and no other kind is supported", i+1)
		}
	}
	keys, err := publicKeys("", t.KeyData, t.KeyDatas)
	if err != nil {
		return err
	}
	if t.Hash != "" {
		if err := checkHashKeys(keys); err != nil {
			return err
		}
	}
	// With Rekor, only the key in the log's entry is used.
	for i, key := range keys {
		if _, err := sigstore.LoadVerifier(key, crypto.SHA256); err != nil && len(rekorKeys) == 0 {
			return fmt.Errorf("public key %d cannot be used: %w", i+1, err)
		}
	}
	if t.TrustedRootData != nil {
		return t.checkTrustedRoot()
	}
	return t.checkCertificates()
}

// publicKeys parses keys in PEM; whose names the owner in an error.
func publicKeys(whose string, one []byte, several [][]byte) ([]crypto.PublicKey, error) {
	if one != nil {
		several = [][]byte{one}
	}
	keys := make([]crypto.PublicKey, len(several))
	for i, raw := range several {
		key, err := cryptoutils.UnmarshalPEMToPublicKey(raw)
		if err != nil {
			return nil, fmt.Errorf("parsing public key %d%s: %w", i+1, whose, err)
		}
		keys[i] = key
	}
	return keys, nil
}

func (t *trust) checkCertificates() error {
	if t.Fulcio != nil && !x509.NewCertPool().AppendCertsFromPEM(t.Fulcio.CAData) {
		return errors.New("the Fulcio CA certificates contain no certificate")
	}
	if t.PKI == nil {
		return nil
	}
	if !x509.NewCertPool().AppendCertsFromPEM(t.PKI.CARootsData) {
		return errors.New("the CA roots contain no certificate")
	}
	if t.PKI.CAIntermediatesData == nil {
		return nil
	}
	if _, err := cryptoutils.UnmarshalCertificatesFromPEM(t.PKI.CAIntermediatesData); err != nil {
		return fmt.Errorf("parsing the CA intermediates: %w", err)
	}
	return nil
}
