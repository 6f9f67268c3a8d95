package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// gpgKeys is the only keyType that containers/image implements; with any other it denies everything
// (policy_eval_signedby.go, v5.42.0).
const gpgKeys = "GPGKeys"

// joinKeyrings replaces the key sources of a signedBy requirement by one keyring in keyData.
//
// If keyPaths has several files, containers/image joins them to one keyring, in their order, and uses only the first
// key with the signature's key ID. If each file were evaluated separately, a key could be accepted that an earlier file
// revokes.
func joinKeyrings(object fields, read func(path string) ([]byte, error)) (fields, error) {
	var source struct {
		KeyType  string   `json:"keyType"`
		KeyPath  string   `json:"keyPath"`
		KeyPaths []string `json:"keyPaths"`
		KeyData  []byte   `json:"keyData"`
	}
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &source); err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	if source.KeyType != gpgKeys {
		return nil, fmt.Errorf("keyType %s is not implemented, so no signature is accepted", source.KeyType)
	}
	paths := source.KeyPaths
	if source.KeyPath != "" {
		paths = []string{source.KeyPath}
	}
	var rings keyrings
	if source.KeyData != nil {
		if err := rings.add(source.KeyData); err != nil {
			return nil, fmt.Errorf("keyData is not an OpenPGP keyring: %w", err)
		}
	}
	for _, path := range paths {
		data, err := read(path)
		if err != nil {
			return nil, err
		}
		if err := rings.add(data); err != nil {
			return nil, fmt.Errorf("key file %s is not an OpenPGP keyring: %w", path, err)
		}
	}
	return rings.replace(object)
}

// keyrings contains concatenated OpenPGP keyrings in binary, and the keys of each.
type keyrings struct {
	joined bytes.Buffer
	keys   [][]byte
}

// add adds a keyring, binary or armored, as containers/image reads it (mechanism_openpgp.go, v5.42.0).
func (k *keyrings) add(raw []byte) error {
	entities, err := openpgp.ReadKeyRing(bytes.NewReader(raw))
	if err != nil {
		block, armorErr := armor.Decode(bytes.NewReader(raw))
		if armorErr != nil {
			return err
		}
		if entities, armorErr = openpgp.ReadArmoredKeyRing(bytes.NewReader(raw)); armorErr != nil {
			return err
		}
		if raw, armorErr = io.ReadAll(block.Body); armorErr != nil {
			return err
		}
	}
	k.joined.Write(raw)
	k.keys = append(k.keys, fingerprints(entities)...)
	return nil
}

// replace replaces the key sources by the joined keyring.
func (k *keyrings) replace(object fields) (fields, error) {
	if len(k.keys) == 0 {
		return nil, errors.New("the keyring contains no key, so no signature is accepted")
	}
	// A keyring whose last packet has no length would include the next one.
	joined, err := openpgp.ReadKeyRing(bytes.NewReader(k.joined.Bytes()))
	if err != nil {
		return nil, fmt.Errorf("reading the joined keyrings: %w", err)
	}
	if !slices.EqualFunc(fingerprints(joined), k.keys, bytes.Equal) {
		return nil, errors.New("the keyrings cannot be joined, because one of them does not end where its keys do")
	}
	data, err := json.Marshal(k.joined.Bytes())
	if err != nil {
		return nil, err
	}
	replaced := make(fields, len(object))
	for _, name := range []string{"type", "keyType", "signedIdentity"} {
		if value, ok := object[name]; ok {
			replaced[name] = value
		}
	}
	replaced["keyData"] = data
	return replaced, nil
}

// fingerprints lists the keys of a keyring and their subkeys.
func fingerprints(entities openpgp.EntityList) [][]byte {
	var all [][]byte
	for _, entity := range entities {
		if entity.PrimaryKey == nil {
			continue
		}
		all = append(all, entity.PrimaryKey.Fingerprint)
		for _, subkey := range entity.Subkeys {
			all = append(all, subkey.PublicKey.Fingerprint)
		}
	}
	return all
}
