package bundle

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// causedError is why a bundle does not meet a requirement, with the cause from which advice is derived.
type causedError struct {
	cause policy.Cause
	text  string
}

func (e *causedError) Error() string { return e.text }

func caused(cause policy.Cause, format string, args ...any) error {
	return &causedError{cause: cause, text: fmt.Sprintf(format, args...)}
}

// causeOf returns the cause of a verification error. Without an explicit cause, the signer is not the required one.
func (r *requirement) causeOf(err error) policy.Cause {
	cause := policy.OtherKey
	if with, ok := errors.AsType[*causedError](err); ok {
		cause = with.cause
	}
	if cause == policy.OtherKey && r.authority != nil {
		return policy.OtherSigner
	}
	return cause
}

// hintedFingerprint returns the hint in the form in which people compare keys: openssl pkey -pubin -in KEY -outform DER
// | sha256sum. The hint must be a fingerprint.
func hintedFingerprint(hint string) string {
	raw, err := base64.StdEncoding.DecodeString(hint)
	if err != nil {
		return "that its hint names"
	}
	return "sha256:" + hex.EncodeToString(raw)
}

// fingerprints returns the fingerprints of the requirement's keys.
func (r *requirement) fingerprints() string {
	const most = 4
	all := make([]string, 0, len(r.keys))
	for _, key := range r.keys {
		all = append(all, fingerprint(key.fingerprint))
	}
	return text.List(all, most)
}

func fingerprint(sum [sha256.Size]byte) string { return "sha256:" + hex.EncodeToString(sum[:]) }
