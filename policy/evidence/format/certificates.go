package format

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// Where cosign's old format has a signer's certificate and those above it, in PEM (containers/image v5.42.0,
// internal/signature).
const (
	certificateAnnotation = "dev.sigstore.cosign/certificate"
	chainAnnotation       = "dev.sigstore.cosign/chain"
)

// Bounds of certificates, as package bundle has them for those in bundles.
const (
	maxCertificates = 9
	maxCertificate  = 32 << 10
	maxRSA          = 8192
)

// CheckCertificates returns an error for certificates that are not to be judged. Verifying by an RSA key takes the
// square of its length, and a chain is looked for among all that there are: a megabyte keeps a processor busy for an
// hour, and nothing that judges can be interrupted.
func CheckCertificates(annotations map[string]string) error {
	count := 0
	for _, name := range []string{certificateAnnotation, chainAnnotation} {
		for block, rest := pem.Decode([]byte(annotations[name])); block != nil; block, rest = pem.Decode(rest) {
			if count++; count > maxCertificates {
				return fmt.Errorf("it has more than %d certificates", maxCertificates)
			}
			if err := checkCertificate(block.Bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkCertificate(der []byte) error {
	if len(der) > maxCertificate {
		return fmt.Errorf("a certificate has %d bytes, and one has at most %d", len(der), maxCertificate)
	}
	var key *rsa.PublicKey
	// Nobody will verify by what cannot be read.
	if certificate, err := x509.ParseCertificate(der); err == nil {
		key, _ = certificate.PublicKey.(*rsa.PublicKey)
	}
	if key != nil && key.N.BitLen() > maxRSA {
		return fmt.Errorf("a certificate's RSA key has %d bits, and one has at most %d", key.N.BitLen(), maxRSA)
	}
	return nil
}
