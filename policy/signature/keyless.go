package signature

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/fulcio"
	"github.com/countersign/countersign/policy/text"
)

// maxReason limits the reason for which one signature is refused, in bytes.
const maxReason = 512

// keyless judges requirements whose "fulcio" has fields that containers/image does not know. It verifies the log's
// promise, the certificate and its names as containers/image does (policy_eval_sigstore.go, fulcio_cert.go, v5.42.0);
// tests compare the two. containers/image itself then judges the signature, the digest and the name of the image, with
// the certificate's key.
type keyless struct {
	signer         *fulcio.Signer
	authorities    *x509.CertPool
	logs           []*ecdsa.PublicKey
	signedIdentity json.RawMessage
}

// newKeyless returns the judge of a requirement that was parsed before: an error is a bug.
func newKeyless(requirement []byte) (*keyless, error) {
	var t trust
	if err := json.Unmarshal(requirement, &t); err != nil {
		return nil, fmt.Errorf("reading the requirement: %w", err)
	}
	if t.Fulcio == nil || t.PKI != nil || t.KeyData != nil || t.KeyDatas != nil {
		return nil, errors.New("its signer is not only one of Fulcio's")
	}
	signer, err := fulcio.NewSigner(t.Fulcio.Identity)
	if err != nil {
		return nil, fmt.Errorf("fulcio: %w", err)
	}
	made := &keyless{signer: signer, authorities: x509.NewCertPool(), signedIdentity: t.SignedIdentity}
	if !made.authorities.AppendCertsFromPEM(t.Fulcio.CAData) {
		return nil, errors.New("the Fulcio CA certificates contain no certificate")
	}
	logs, err := publicKeys(" of Rekor", t.RekorPublicKeyData, t.RekorPublicKeyDatas)
	if err != nil {
		return nil, err
	}
	for _, log := range logs {
		key, ok := log.(*ecdsa.PublicKey)
		if !ok {
			return nil, errors.New("a public key of Rekor is not an ECDSA key")
		}
		made.logs = append(made.logs, key)
	}
	if len(made.logs) == 0 {
		return nil, errors.New("it has no public key of Rekor")
	}
	return made, nil
}

// sigstoreSignature is the part of the type of containers/image's sigstore signatures that is needed here.
type sigstoreSignature interface {
	UntrustedMIMEType() string
	UntrustedPayload() []byte
	UntrustedAnnotations() map[string]string
}

// judge finds one signature that meets the requirement.
func (k *keyless) judge(ctx context.Context, image *image) policy.Finding {
	var reasons []string
	var cause policy.Cause
	others := 0
	for number, one := range image.signatures {
		if err := ctx.Err(); err != nil {
			return unmet(policy.Unavailable, "judging: %v", err)
		}
		signature, ok := one.(sigstoreSignature)
		if !ok || signature.UntrustedMIMEType() != payloadType {
			others++
			continue
		}
		refusal := k.verify(ctx, image, number)
		if refusal == nil {
			return policy.Finding{Met: true}
		}
		reasons = append(reasons, text.OneLine(text.Shorten(refusal.err.Error(), maxReason)))
		cause = cause.Nearer(refusal.cause)
	}
	if len(reasons) == 0 {
		finding := unmet(policy.Rejected, "no sigstore signature exists (%d of other kinds)", others)
		finding.Cause = policy.OnlyAttestations
		return finding
	}
	finding := unmet(policy.Rejected, "%s", strings.Join(reasons, "; "))
	finding.Cause = cause
	return finding
}

// refusal is why a signature does not meet a requirement.
type refusal struct {
	err   error
	cause policy.Cause
}

// verify returns nil if the signature meets the requirement.
func (k *keyless) verify(ctx context.Context, image *image, number int) *refusal {
	signature, ok := image.signatures[number].(sigstoreSignature)
	if !ok {
		return &refusal{errors.New("it is not a sigstore signature"), policy.Malformed}
	}
	annotations := signature.UntrustedAnnotations()
	signed, ok := annotations[signatureAnnotation]
	if !ok {
		return &refusal{fmt.Errorf("it has no annotation %s", signatureAnnotation), policy.Malformed}
	}
	promise, ok := annotations[promiseAnnotation]
	if !ok {
		return &refusal{errors.New("it is recorded by no transparency log, and the requirement needs one"), policy.NotLogged}
	}
	certificate, ok := annotations[certificateAnnotation]
	if !ok {
		return &refusal{errors.New("it has no certificate, and the requirement trusts certificates"), policy.OtherSigner}
	}
	at, err := verifyPromise(k.logs, []byte(promise), logged{signed, signature.UntrustedPayload(), []byte(certificate)})
	if err != nil {
		return &refusal{err, policy.NotLogged}
	}
	leaf, err := k.verifyCertificate(certificate, annotations[chainAnnotation], at)
	if err != nil {
		return &refusal{err, policy.OtherSigner}
	}
	if err := k.verifyPayload(ctx, image, number, leaf); err != nil {
		cause := causeOf(err.Error())
		if cause == policy.OtherKey {
			cause = policy.OtherSigner
		}
		return &refusal{err, cause}
	}
	return nil
}

// verifyCertificate returns the signer's certificate if it was valid at that time and is the signer's.
func (k *keyless) verifyCertificate(certificate, chain string, at time.Time) (*x509.Certificate, error) {
	leaves, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(certificate))
	if err != nil {
		return nil, fmt.Errorf("parsing its certificate: %w", err)
	}
	if len(leaves) != 1 {
		return nil, fmt.Errorf("it has %d certificates of signers, and must have one", len(leaves))
	}
	var intermediates *x509.CertPool
	if chain != "" {
		above, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(chain))
		if err != nil {
			return nil, fmt.Errorf("parsing its certificate chain: %w", err)
		}
		intermediates = x509.NewCertPool()
		// cosign writes the root last.
		for _, one := range above[:max(len(above)-1, 0)] {
			intermediates.AddCert(one)
		}
	}
	leaf := fulcio.WithoutUnhandledNames(leaves[0])
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: k.authorities, Intermediates: intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}); err != nil {
		return nil, fmt.Errorf("its certificate is not accepted: %w", err)
	}
	return leaf, k.signer.Check(leaf)
}

// verifyPayload asks containers/image whether the signature is by the certificate's key, for this image, under a name
// that signedIdentity accepts.
func (k *keyless) verifyPayload(ctx context.Context, image *image, number int, leaf *x509.Certificate) error {
	key, err := cryptoutils.MarshalPublicKeyToPEM(leaf.PublicKey)
	if err != nil {
		return fmt.Errorf("encoding the key of its certificate: %w", err)
	}
	requirement := map[string]any{"type": policy.SigstoreSigned, "keyData": key}
	if k.signedIdentity != nil {
		requirement["signedIdentity"] = k.signedIdentity
	}
	document, err := json.Marshal(map[string]any{"default": []any{requirement}})
	if err != nil {
		return fmt.Errorf("writing a requirement for its certificate: %w", err)
	}
	parsed, err := signature.NewPolicyFromBytes(document)
	if err != nil {
		return fmt.Errorf("parsing a requirement for its certificate: %w", err)
	}
	return allowed(ctx, parsed, image.single(number))
}
