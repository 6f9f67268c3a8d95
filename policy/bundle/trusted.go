package bundle

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/trustedroot"
)

// trusted is the trusted root of a requirement, and what a signature must have from it. It verifies as cosign and
// sigstore-go do: at each time that a log or a timestamp authority has signed, the certificate must have been valid.
type trusted struct {
	root *trustedroot.Root
	// unlogged reports whether a timestamp is required instead of an entry in a log.
	unlogged bool
}

// trusted returns the trusted root of a requirement, or nil if it has none.
func (d *document) trusted() (*trusted, error) {
	if d.TrustedRootData == nil {
		if d.TLog != "" {
			return nil, errors.New("tlog needs a trusted root")
		}
		return nil, nil //nolint:nilnil // A requirement without a trusted root names keys and certificates itself.
	}
	if d.RekorPublicKeyData != nil || d.RekorPublicKeyDatas != nil {
		return nil, errors.New("it has a trusted root and a key of Rekor")
	}
	parsed, err := trustedroot.Parse(d.TrustedRootData)
	if err != nil {
		return nil, fmt.Errorf("the trusted root: %w", err)
	}
	switch d.TLog {
	case "", "required":
		return &trusted{root: parsed}, nil
	case "none":
		return &trusted{root: parsed, unlogged: true}, nil
	default:
		return nil, fmt.Errorf("tlog is %q", d.TLog)
	}
}

// verifyKey returns nil if the key signed the statement, and the logs or timestamp authorities have seen that.
func (t *trusted) verifyKey(bundle *signed, verifier *verifier, by signer, subject digest.Digest) error {
	if err := t.verifySignature(bundle, verifier, by, subject); err != nil {
		return err
	}
	_, err := t.seen(bundle, verifier, by)
	return err
}

// verifyCertificate returns nil if the key of the bundle's certificate signed the statement, the logs or timestamp
// authorities have seen that, and the certificate was the authority's at each time at which they have.
func (t *trusted) verifyCertificate(bundle *signed, authority *authority, subject digest.Digest) error {
	verifier, by := newVerifier(bundle.certificate.PublicKey), signer{bundle.certificate, bundle.certificate.PublicKey}
	times, err := t.seen(bundle, verifier, by)
	if err != nil {
		return err
	}
	for _, at := range times {
		if err := authority.verifyChain(bundle, at); err != nil {
			return caused(policy.OtherSigner, "%v", err)
		}
	}
	return t.verifySignature(bundle, verifier, by, subject)
}

// verifySignature verifies only the signature of the statement.
func (t *trusted) verifySignature(bundle *signed, verifier *verifier, by signer, subject digest.Digest) error {
	e := &entity{content: bundle.content, signer: by}
	m := &material{logs: t.root.Logs(), verifier: verifier}
	_, err := verifyEntity(e, m, subject, verify.WithNoObserverTimestamps())
	return err
}

// seen returns the times at which logs and timestamp authorities have seen a signature, or why they have not seen it as
// the requirement needs. For a signer with a certificate there is at least one.
func (t *trusted) seen(bundle *signed, verifier *verifier, by signer) ([]time.Time, error) {
	stamps, problems := t.root.Times(bundle.content.Signature(), bundle.timestamps)
	missing := explainNotStamped(bundle, problems)
	if t.unlogged {
		if len(stamps) == 0 {
			return nil, caused(policy.NotLogged, "%s", missing)
		}
		return stamps, nil
	}
	e := &loggedEntity{entity{content: bundle.content, signer: by}}
	entries := bundle.entries()
	failures := slices.Concat(entries.problems, entries.problemsV2)
	for _, entry := range entries.usable {
		e.entries = []*tlog.Entry{entry}
		promised, err := t.verifyEntry(e, verifier, stamps)
		times := slices.Concat(stamps, promised)
		switch {
		case err != nil:
			failures = append(failures, err.Error())
		case len(times) == 0 && by.certificate != nil:
			failures = append(failures, "its log entry has no signed time, and "+missing)
		default:
			return times, nil
		}
	}
	if len(failures) == 0 {
		failures = append(failures, "it is recorded by no transparency log, and the requirement needs one")
	}
	return nil, caused(policy.NotLogged, "%s", strings.Join(failures, ", "))
}

// verifyEntry returns nil if the entity's log entry is by a log that was valid, and records the signature. If the log
// has promised that at a time, it returns this time.
func (t *trusted) verifyEntry(e *loggedEntity, verifier *verifier, stamps []time.Time) ([]time.Time, error) {
	entry := e.entries[0]
	id := hex.EncodeToString([]byte(entry.LogKeyID()))
	if _, ok := t.root.Logs()[id]; !ok {
		return nil, errors.New("it is recorded by another log than the trusted root's")
	}
	seen, err := verify.VerifyTlogEntry(e, &material{logs: t.root.Logs(), verifier: verifier}, 1, true)
	if err != nil {
		return nil, errors.New(explainPromise(entry, t.root.Logs(), err))
	}
	if len(seen) > 0 {
		return []time.Time{seen[0].Time}, nil
	}
	// A proof has no signed time, so that sigstore-go has not compared it with the log's period.
	if len(stamps) == 0 {
		stamps = []time.Time{time.Now()}
	}
	for _, at := range stamps {
		if err := t.root.CheckLog(id, at); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// explainNotStamped returns why a bundle has no timestamp that counts.
func explainNotStamped(bundle *signed, problems []error) string {
	if len(bundle.timestamps) == 0 {
		return "it has no timestamp (RFC 3161)"
	}
	return fmt.Sprintf("no timestamp in it counts (%v)", errors.Join(problems...))
}

// loggedEntity presents a bundle as a log records it: an entry of Rekor v2 is a hash over the certificate too.
type loggedEntity struct{ entity }

// VerificationContent implements [verify.SignedEntity].
func (e *loggedEntity) VerificationContent() (verify.VerificationContent, error) {
	return loggedSigner{e.signer}, nil
}

// loggedSigner is a signer that shows its certificate.
type loggedSigner struct{ signer }

// Certificate implements [verify.VerificationContent].
func (s loggedSigner) Certificate() *x509.Certificate { return s.certificate }
