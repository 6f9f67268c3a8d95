package signature

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/fulcio"
	"github.com/countersign/countersign/policy/internal/trustedroot"
	"github.com/countersign/countersign/policy/text"
)

// maxReason limits the reason for which one signature is refused, in bytes.
const maxReason = 512

// own judges requirements that use fields which containers/image does not know. It verifies the log's promise, the
// certificate and its names as containers/image does (policy_eval_sigstore.go, fulcio_cert.go, v5.42.0); tests compare
// the two. containers/image itself then judges the signature, the digest and the name of the image, with the key.
type own struct {
	// signer and authorities are set if a certificate is required, and keys otherwise.
	signer      *fulcio.Signer
	authorities *x509.CertPool
	keys        []crypto.PublicKey
	logs        []log
	// root, if set, has the authorities and the logs. unlogged reports whether it requires a timestamp instead of a log.
	root           *trustedroot.Root
	unlogged       bool
	signedIdentity json.RawMessage
	// hash is the hash of RSA keys, or zero. onlyOthers reports whether containers/image has judged already.
	hash       crypto.Hash
	onlyOthers bool
}

// newOthers returns the judge of signatures by those keys of a requirement that sign with another hash than
// containers/image verifies, or nil if there are none.
func newOthers(requirement []byte) (*own, error) {
	var t trust
	if err := json.Unmarshal(requirement, &t); err != nil {
		return nil, fmt.Errorf("reading the requirement: %w", err)
	}
	keys, err := publicKeys("", t.KeyData, t.KeyDatas)
	if err != nil {
		return nil, err
	}
	made := &own{signedIdentity: t.SignedIdentity, onlyOthers: true}
	for _, key := range keys {
		if _, ok := otherVerifier(key, 0); ok {
			made.keys = append(made.keys, key)
		}
	}
	if len(made.keys) == 0 {
		return nil, nil //nolint:nilnil // containers/image judges the requirement alone.
	}
	return made, made.addLogs(&t)
}

// newOwn returns the judge of a requirement that was parsed before: an error is a bug.
func newOwn(requirement []byte) (*own, error) {
	var t trust
	if err := json.Unmarshal(requirement, &t); err != nil {
		return nil, fmt.Errorf("reading the requirement: %w", err)
	}
	made := &own{signedIdentity: t.SignedIdentity, unlogged: t.TLog == tlogNone}
	var err error
	if made.hash, err = hashOf(t.Hash); err != nil {
		return nil, fmt.Errorf("hash: %w", err)
	}
	if err := made.addSigners(&t); err != nil {
		return nil, err
	}
	if t.TrustedRootData != nil {
		return made, made.addRoot(&t)
	}
	if t.TLog != "" {
		return nil, errors.New("tlog needs a trusted root")
	}
	return made, made.addLogs(&t)
}

// addSigners reads the signers: keys or an identity, and only one of these.
func (o *own) addSigners(t *trust) (err error) {
	hasKeys := t.KeyData != nil || t.KeyDatas != nil
	switch {
	case hasKeys && t.Fulcio == nil && t.PKI == nil:
		o.keys, err = publicKeys("", t.KeyData, t.KeyDatas)
		return err
	case !hasKeys && t.Fulcio != nil && t.PKI == nil:
		if o.signer, err = fulcio.NewSigner(t.Fulcio.Identity); err != nil {
			return fmt.Errorf("fulcio: %w", err)
		}
		return nil
	default:
		return errors.New("it needs one of keys and fulcio")
	}
}

// addRoot reads the trusted root.
func (o *own) addRoot(t *trust) (err error) {
	if t.RekorPublicKeyData != nil || t.RekorPublicKeyDatas != nil || t.Fulcio != nil && t.Fulcio.CAData != nil {
		return errors.New("it has a trusted root, and keys or certificates of its services")
	}
	if o.root, err = trustedroot.Parse(t.TrustedRootData); err != nil {
		return fmt.Errorf("reading the trusted root: %w", err)
	}
	for id, one := range o.root.Logs() {
		// A promise is always made with ECDSA.
		if key, ok := one.PublicKey.(*ecdsa.PublicKey); ok {
			o.logs = append(o.logs, log{key, func(at time.Time) error { return o.root.CheckLog(id, at) }})
		}
	}
	return nil
}

// addLogs reads the certificates of Fulcio and the keys of Rekor.
func (o *own) addLogs(t *trust) error {
	if o.signer != nil {
		o.authorities = x509.NewCertPool()
		if !o.authorities.AppendCertsFromPEM(t.Fulcio.CAData) {
			return errors.New("the Fulcio CA certificates contain no certificate")
		}
	}
	keys, err := publicKeys(" of Rekor", t.RekorPublicKeyData, t.RekorPublicKeyDatas)
	if err != nil {
		return err
	}
	for _, one := range keys {
		key, ok := one.(*ecdsa.PublicKey)
		if !ok {
			return errors.New("a public key of Rekor is not an ECDSA key")
		}
		o.logs = append(o.logs, log{key: key})
	}
	o.unlogged = t.RekorPublicKeyData == nil && t.RekorPublicKeyDatas == nil
	if len(o.logs) == 0 && (!o.unlogged || o.signer != nil) {
		return errors.New("it has no public key of Rekor")
	}
	return nil
}

// sigstoreSignature is the part of the type of containers/image's sigstore signatures that is needed here.
type sigstoreSignature interface {
	UntrustedMIMEType() string
	UntrustedPayload() []byte
	UntrustedAnnotations() map[string]string
}

// judge finds one signature that meets the requirement.
func (o *own) judge(ctx context.Context, image *image) policy.Finding {
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
		refusal := o.verify(ctx, image, number)
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
