package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// access is how a registry authenticates itself and its clients. The zero value is plain HTTP without authentication.
type access struct {
	certificate tls.Certificate
	key         []byte // The private key of the certificate, in PEM.
	authority   []byte // In PEM.
	client      http.RoundTripper
	tokens      *tokenServer
}

func newAccess(ctx context.Context, config RegistryConfig) (access, error) {
	var result access
	if config.TLS {
		var err error
		if result, err = certify(); err != nil {
			return access{}, err
		}
	}
	if !config.Tokens {
		return result, nil
	}
	tokens, err := startTokenServer(ctx, config.Username, config.Password, result.certificate)
	result.tokens = tokens
	return result, err
}

// certify makes a CA, and a certificate for this machine that it signed.
func certify() (access, error) {
	now := time.Now()
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return access{}, fmt.Errorf("certifying a registry: %w", err)
	}
	authority, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return access{}, fmt.Errorf("certifying a registry: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return access{}, fmt.Errorf("certifying a registry: %w", err)
	}
	certificate, err := x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), rootKey)
	if err != nil {
		return access{}, fmt.Errorf("certifying a registry: %w", err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		return access{}, fmt.Errorf("certifying a registry: %w", err)
	}
	result := access{
		certificate: tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: leafKey},
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		authority:   encodeCertificate(authority),
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(result.authority)
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	result.client = transport
	return result, nil
}

func listenTLS(listener net.Listener, certificate tls.Certificate) net.Listener {
	return tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
	})
}

func encodeCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// files returns the certificate and its key, by the file names in a registry's configuration.
func (a access) files() map[string][]byte {
	return map[string][]byte{
		"certificate.pem": encodeCertificate(a.certificate.Certificate[0]), "key.pem": a.key,
	}
}

func (a access) close() error {
	if a.tokens == nil {
		return nil
	}
	return a.tokens.close()
}
