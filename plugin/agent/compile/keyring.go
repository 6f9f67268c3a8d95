package compile

import (
	"bytes"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// keyring joins OpenPGP keys, armored or binary, to one binary keyring: a signedBy requirement has one keyData.
func keyring(keys [][]byte) ([]byte, error) {
	var joined []byte
	for i, key := range keys {
		if block, err := armor.Decode(bytes.NewReader(key)); err == nil {
			if key, err = io.ReadAll(block.Body); err != nil {
				return nil, fmt.Errorf("reading keyDatas[%d] of gpgKeys: %w", i, err)
			}
		}
		if _, err := openpgp.ReadKeyRing(bytes.NewReader(key)); err != nil {
			return nil, fmt.Errorf("keyDatas[%d] of gpgKeys is not an OpenPGP key: %w", i, err)
		}
		joined = append(joined, key...)
	}
	return joined, nil
}
