package convert

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// publicKeys returns the public keys in PEM, in base64.
func publicKeys(text string) (keys []string, err error) {
	rest := []byte(text)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			return nil, fmt.Errorf("a key is no public key: %w", err)
		}
		keys = append(keys, base64.StdEncoding.EncodeToString(pem.EncodeToMemory(block)))
	}
	switch {
	case strings.TrimSpace(string(rest)) != "":
		return nil, errors.New("there is text that is no key in PEM")
	case len(keys) == 0:
		return nil, errors.New("there is no key in PEM")
	}
	return keys, nil
}

// anyOf returns the policy that images need a signature by one of some keys, recorded in a log if its key is given.
func anyOf(keys []string, log string) policy {
	trusted := &publicKey{RekorKeyData: log}
	if len(keys) == 1 {
		trusted.KeyData = keys[0]
	} else {
		trusted.KeyDatas = keys
	}
	return policy{
		RootOfTrust: rootOfTrust{PolicyType: "PublicKey", PublicKey: trusted}, SignedIdentity: sameRepository(),
	}
}
