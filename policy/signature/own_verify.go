package signature

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/fulcio"
)

// refusal is why a signature does not meet a requirement.
type refusal struct {
	err   error
	cause policy.Cause
}

// verify returns nil if the signature meets the requirement.
func (o *own) verify(ctx context.Context, image *image, number int) *refusal {
	signature, ok := image.signatures[number].(sigstoreSignature)
	if !ok {
		return &refusal{errors.New("it is not a sigstore signature"), policy.Malformed}
	}
	annotations := signature.UntrustedAnnotations()
	signed, ok := annotations[signatureAnnotation]
	if !ok {
		return &refusal{fmt.Errorf("it has no annotation %s", signatureAnnotation), policy.Malformed}
	}
	one := &candidate{
		annotations: annotations, signature: signed, payload: signature.UntrustedPayload(),
	}
	one.verifyBy = func(key crypto.PublicKey) error {
		if o.signer != nil {
			return o.verifyPayload(ctx, image, number, key)
		}
		other, ok := otherVerifier(key, o.hash)
		if ok && (o.onlyOthers || o.hash != 0) {
			return o.verifyOther(image, one, other)
		}
		err := o.verifyPayload(ctx, image, number, key)
		if err == nil || !ok {
			return err
		}
		if inner := o.verifyOther(image, one, other); inner == nil || causeOf(inner.Error()) != policy.OtherKey {
			return inner
		}
		return err
	}
	if o.signer == nil {
		return o.verifyKeys(one)
	}
	return o.verifyIdentity(one)
}

// candidate is a signature that is judged.
type candidate struct {
	annotations map[string]string
	signature   string
	payload     []byte
	// verifyBy returns nil if it is a signature by a key, for the image.
	verifyBy func(crypto.PublicKey) error
}

// verifyIdentity verifies a signature with a certificate.
func (o *own) verifyIdentity(one *candidate) *refusal {
	if _, ok := one.annotations[promiseAnnotation]; !ok && !o.unlogged {
		return &refusal{errors.New("it is recorded by no transparency log, and the requirement needs one"), policy.NotLogged}
	}
	certificate, ok := one.annotations[certificateAnnotation]
	if !ok {
		return &refusal{errors.New("it has no certificate, and the requirement trusts certificates"), policy.OtherSigner}
	}
	times, err := o.seen(one, []byte(certificate))
	if err != nil {
		return &refusal{err, policy.NotLogged}
	}
	leaf, err := o.verifyCertificate(certificate, one.annotations[chainAnnotation], times)
	if err != nil {
		return &refusal{err, policy.OtherSigner}
	}
	if err := one.verifyBy(leaf.PublicKey); err != nil {
		cause := causeOf(err.Error())
		if cause == policy.OtherKey {
			cause = policy.OtherSigner
		}
		return &refusal{err, cause}
	}
	return nil
}

// verifyKeys verifies a signature by one of the keys.
func (o *own) verifyKeys(one *candidate) *refusal {
	var last *refusal
	for _, key := range o.keys {
		encoded, err := cryptoutils.MarshalPublicKeyToPEM(key)
		if err != nil {
			return &refusal{fmt.Errorf("encoding a key: %w", err), policy.OtherKey}
		}
		if err := one.verifyBy(key); err != nil {
			if cause := causeOf(err.Error()); last == nil || cause != policy.OtherKey {
				last = &refusal{err, cause}
			}
			continue
		}
		if _, err := o.seen(one, encoded); err != nil {
			return &refusal{err, policy.NotLogged}
		}
		return nil
	}
	if last == nil {
		return &refusal{errors.New("the requirement has no key"), policy.OtherKey}
	}
	return last
}

// seen returns the times at which a log and timestamp authorities have seen a signature by the key or the certificate,
// or why they have not seen it as the requirement needs.
func (o *own) seen(one *candidate, keyOrCertificate []byte) (times []time.Time, err error) {
	if o.root != nil {
		if times, err = o.stamps(one); err != nil && o.unlogged {
			return nil, err
		}
	}
	if o.unlogged {
		return times, nil
	}
	promise, ok := one.annotations[promiseAnnotation]
	if !ok {
		return nil, errors.New("it is recorded by no transparency log, and the requirement needs one")
	}
	of := logged{one.signature, one.payload, keyOrCertificate, o.signer == nil}
	at, err := verifyPromise(o.logs, []byte(promise), of)
	if err != nil {
		return nil, err
	}
	return append(times, at), nil
}

// stamps returns the times of timestamp authorities, at least one.
func (o *own) stamps(one *candidate) ([]time.Time, error) {
	annotation, ok := one.annotations[timestampAnnotation]
	if !ok {
		return nil, errors.New("it has no timestamp (RFC 3161)")
	}
	var response []byte
	if err := exactly([]byte(annotation), map[string]any{"SignedRFC3161Timestamp": &response}); err != nil {
		return nil, fmt.Errorf("its timestamp: %w", err)
	}
	signed, err := base64.StdEncoding.DecodeString(one.signature)
	if err != nil {
		return nil, fmt.Errorf("decoding it: %w", err)
	}
	times, problems := o.root.Times(signed, [][]byte{response})
	if len(times) == 0 {
		return nil, fmt.Errorf("no timestamp of it counts (%w)", errors.Join(problems...))
	}
	return times, nil
}

// verifyCertificate returns the signer's certificate if it was valid at those times and is the signer's.
func (o *own) verifyCertificate(certificate, chain string, times []time.Time) (*x509.Certificate, error) {
	leaves, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(certificate))
	if err != nil {
		return nil, fmt.Errorf("parsing its certificate: %w", err)
	}
	if len(leaves) != 1 {
		return nil, fmt.Errorf("it has %d certificates of signers, and must have one", len(leaves))
	}
	var above []*x509.Certificate
	if chain != "" {
		if above, err = cryptoutils.UnmarshalCertificatesFromPEM([]byte(chain)); err != nil {
			return nil, fmt.Errorf("parsing its certificate chain: %w", err)
		}
		// cosign writes the root last.
		above = above[:max(len(above)-1, 0)]
	}
	leaf := fulcio.WithoutUnhandledNames(leaves[0])
	for _, at := range times {
		if err := o.verifyChain(leaf, above, at); err != nil {
			return nil, err
		}
	}
	if len(times) == 0 {
		return nil, errors.New("no time is known at which its certificate was valid")
	}
	return leaf, o.signer.Check(leaf)
}

// verifyChain returns nil if an authority has issued the certificate, and it was valid at that time.
func (o *own) verifyChain(leaf *x509.Certificate, above []*x509.Certificate, at time.Time) error {
	if o.root != nil {
		return o.root.VerifyChain(leaf, above, at)
	}
	var intermediates *x509.CertPool
	if above != nil {
		intermediates = x509.NewCertPool()
		for _, one := range above {
			intermediates.AddCert(one)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: o.authorities, Intermediates: intermediates, CurrentTime: at,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}); err != nil {
		return fmt.Errorf("its certificate is not accepted: %w", err)
	}
	return nil
}

// verifyPayload asks containers/image whether the signature is by the key, for this image, under a name that
// signedIdentity accepts.
func (o *own) verifyPayload(ctx context.Context, image *image, number int, public crypto.PublicKey) error {
	key, err := cryptoutils.MarshalPublicKeyToPEM(public)
	if err != nil {
		return fmt.Errorf("encoding the key: %w", err)
	}
	requirement := map[string]any{"type": policy.SigstoreSigned, "keyData": key}
	if o.signedIdentity != nil {
		requirement["signedIdentity"] = o.signedIdentity
	}
	document, err := json.Marshal(map[string]any{"default": []any{requirement}})
	if err != nil {
		return fmt.Errorf("writing a requirement for the key: %w", err)
	}
	parsed, err := signature.NewPolicyFromBytes(document)
	if err != nil {
		return fmt.Errorf("parsing a requirement for the key: %w", err)
	}
	return allowed(ctx, parsed, image.single(number))
}
