package bundle

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/countersign/countersign/policy"
)

// result reports whether a bundle meets a requirement; if not, why, and whether only a name is missing.
type result struct {
	met, nameless bool
	reason        string
	cause         policy.Cause
}

// judgeOne judges one bundle.
func (r *requirement) judgeOne(bundle *signed, image *image) result {
	if bundle.problem != "" {
		return result{reason: bundle.problem, cause: policy.Malformed}
	}
	about, by := bundle.subjectsFor(image)
	if len(about) == 0 {
		return result{
			reason: "it signs another image than " + image.manifest.Digest.String(), cause: policy.OtherImage,
		}
	}
	if err := r.verify(bundle, by); err != nil {
		return result{reason: err.Error(), cause: r.causeOf(err)}
	}
	var claimed []string
	nameless := false
	for _, subject := range about {
		switch {
		case !subject.named:
			nameless = true
		case r.identity.Accepts(image.reference, subject.reference):
			return result{met: true}
		default:
			claimed = append(claimed, fmt.Sprintf("%q", subject.reference))
		}
	}
	// A signature that also names another repository belongs to that repository.
	if nameless && len(claimed) == 0 {
		return result{nameless: true}
	}
	return result{cause: policy.OtherName, reason: fmt.Sprintf(
		"it is a valid signature by the right %s for %s, which %s does not accept for %s",
		r.signers(), strings.Join(claimed, ", "), r.identity.Kind, image.reference)}
}

// subjectsFor returns the subjects that are the image, and the digest that matches.
func (s *signed) subjectsFor(image *image) (about []subject, by digest.Digest) {
	for _, subject := range s.statement.subjects {
		if is, ok := image.matchesDigest(subject.digests); ok {
			about, by = append(about, subject), is
		}
	}
	return about, by
}

// verify returns nil if a trusted signer signed the bundle, the required log recorded it, and the signature covers the
// statement, one of whose subjects has that digest.
func (r *requirement) verify(bundle *signed, subject digest.Digest) error {
	if r.authority != nil {
		return r.verifyCertificate(bundle, subject)
	}
	if bundle.certificate != nil {
		return caused(policy.OtherKey, "it is signed with a certificate, and the requirement trusts keys")
	}
	keys := r.hinted(bundle.hint)
	if len(keys) == 0 {
		return caused(policy.OtherKey, "its hint names the key %s, and the requirement trusts %s",
			hintedFingerprint(bundle.hint), r.fingerprints())
	}
	var failures []string
	cause := policy.OtherKey
	for _, key := range keys {
		err := r.verifyKey(bundle, key, subject)
		if err == nil {
			return nil
		}
		cause = r.causeOf(err)
		failures = append(failures, err.Error())
	}
	if cause == policy.OtherKey {
		failures = append(failures, "the requirement trusts "+r.fingerprints())
	}
	return caused(cause, "%s", strings.Join(failures, ", "))
}

// verifyKey verifies with one key.
func (r *requirement) verifyKey(bundle *signed, key *key, subject digest.Digest) error {
	by := signer{public: key.public}
	if r.trusted != nil {
		return r.trusted.verifyKey(bundle, key.verifier, by, subject)
	}
	_, err := r.verifyRecorded(bundle, key.verifier, by, subject)
	return err
}

// verifyCertificate verifies with the key of the bundle's certificate, after it has verified that the certificate has
// the right identity. Certificates of Fulcio are valid for minutes, so the time must be the log's; a PKI's certificates
// must be valid now.
func (r *requirement) verifyCertificate(bundle *signed, subject digest.Digest) error {
	if bundle.certificate == nil {
		return caused(policy.OtherSigner, "it is signed with a key, and the requirement trusts certificates")
	}
	if r.trusted != nil {
		return r.trusted.verifyCertificate(bundle, r.authority, subject)
	}
	at := time.Now()
	if r.logs == nil {
		if err := r.authority.verifyChain(bundle, at); err != nil {
			return caused(policy.OtherSigner, "%v", err)
		}
	}
	public := bundle.certificate.PublicKey
	recorded, err := r.verifyRecorded(bundle, newVerifier(public), signer{bundle.certificate, public}, subject)
	if err != nil || r.logs == nil {
		return err
	}
	if err := r.authority.verifyChain(bundle, recorded); err != nil {
		return caused(policy.OtherSigner, "%v", err)
	}
	return nil
}

// verifyRecorded verifies a signature by a key and, if the requirement needs a log, any one entry of one of its logs.
// It returns the time that the log has signed, if one is required.
func (r *requirement) verifyRecorded(
	bundle *signed, verifier *verifier, by signer, subject digest.Digest,
) (at time.Time, err error) {
	e := &entity{content: bundle.content, signer: by}
	m := &material{logs: r.logs, verifier: verifier}
	if r.logs == nil {
		_, err := verifyEntity(e, m, subject, verify.WithNoObserverTimestamps())
		return time.Time{}, err
	}
	options := []verify.VerifierOption{verify.WithTransparencyLog(1), verify.WithNoObserverTimestamps()}
	if r.authority != nil {
		options[1] = verify.WithIntegratedTimestamps(1)
	}
	entries := bundle.entries()
	failures, cause := slices.Clone(entries.problems), policy.NotLogged
	for _, entry := range entries.usable {
		if entry.IsRekorV2() {
			continue
		}
		if why := r.explainSkipped(entry); why != "" {
			failures = append(failures, why)
			continue
		}
		e.entries = []*tlog.Entry{entry}
		if at, err = verifyEntity(e, m, subject, options...); err != nil {
			failures = append(failures, explainPromise(entry, r.logs, err))
			if with, ok := errors.AsType[*causedError](err); ok {
				cause = with.cause
			}
			continue
		}
		return at, nil
	}
	return time.Time{}, caused(cause, "%s", r.explainNotLogged(bundle, failures))
}

// explainSkipped returns why an entry is not sufficient for the requirement, before sigstore-go verifies it.
func (r *requirement) explainSkipped(entry *tlog.Entry) string {
	if _, ok := r.logs[hex.EncodeToString([]byte(entry.LogKeyID()))]; !ok {
		return "it is recorded by another log than the requirement's"
	}
	if r.authority != nil && !entry.HasInclusionPromise() {
		return "its log entry has an inclusion proof but no inclusion promise: a proof has no signed time, and " +
			"the requirement names no timestamp authority: use trustedRootPath"
	}
	return ""
}

// explainPromise returns why an entry was not accepted. sigstore-go skips an invalid promise and then reports that it
// found none.
func explainPromise(entry *tlog.Entry, logs map[string]*root.TransparencyLog, err error) string {
	if entry.HasInclusionPromise() {
		if err := tlog.VerifySET(entry, logs); err != nil {
			return fmt.Sprintf("its inclusion promise is not the log's: %v", err)
		}
	}
	return err.Error()
}

// explainNotLogged returns why a bundle is not recorded as the requirement needs.
func (r *requirement) explainNotLogged(bundle *signed, failures []string) string {
	switch {
	case len(failures) > 0:
		return strings.Join(failures, ", ")
	case bundle.entries().rekorV2 && r.authority != nil:
		return "it is recorded by Rekor v2, whose entries have no signed time, and " +
			"the requirement names no timestamp authority: use trustedRootPath"
	case bundle.entries().rekorV2:
		return "it is recorded by Rekor v2, whose logs only a trusted root can name: use trustedRootPath"
	case len(bundle.timestamps) > 0:
		return "it is recorded by no transparency log: its time is from a timestamp authority (RFC 3161), and " +
			"the requirement names no timestamp authority: use trustedRootPath"
	default:
		return "it is recorded by no transparency log, and the requirement needs one"
	}
}

// verifyEntity calls sigstore-go. It returns the time that it verified, or zero if the options require none.
func verifyEntity(
	e *entity, m *material, subject digest.Digest, options ...verify.VerifierOption,
) (at time.Time, err error) {
	raw, err := hex.DecodeString(subject.Encoded())
	if err != nil {
		return time.Time{}, fmt.Errorf("digest %s: %w", subject, err)
	}
	options = append(options, verify.WithoutStatementPredicate())
	verifier, err := verify.NewVerifier(m, options...)
	if err != nil {
		return time.Time{}, err
	}
	artifact := verify.WithArtifactDigest(subject.Algorithm().String(), raw)
	result, err := verifier.Verify(e, verify.NewPolicy(artifact, verify.WithKey()))
	if err != nil {
		return time.Time{}, explain(err)
	}
	if len(result.VerifiedTimestamps) > 0 {
		at = result.VerifiedTimestamps[0].Timestamp
	}
	return at, nil
}

// explain translates errors of sigstore-go.
func explain(err error) error {
	if strings.Contains(err.Error(), "could not verify envelope") {
		return caused(policy.OtherKey, "its signature is not by the required signer or not of this statement (%v)", err)
	}
	return err
}
