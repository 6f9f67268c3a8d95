package signature

import (
	"encoding/json"
	"fmt"

	"github.com/countersign/countersign/policy"
)

// Kinds returns a table with the kinds of containers-policy.json(5), all with this judge, and with [policy.Attested],
// which no signature meets: its judge is another package's. Other packages add their judges and their own kinds. With a
// nil judge the table is for a [Parser] only.
func Kinds(judge *Judge) policy.Kinds {
	judges := func() []policy.Judge { return []policy.Judge{{Name: "signature", Func: judge.Judge}} }
	return policy.Kinds{
		policy.InsecureAcceptAnything: {Judges: judges(), Describe: describeAccept},
		policy.Reject:                 {Judges: judges(), Advise: adviseReject, Describe: describeReject},
		policy.SignedBy: {
			NeedsEvidence: true, Validate: validateSignedBy, Judges: judges(), Advise: adviseSignedBy,
			Describe: describeSignedBy,
		},
		policy.SigstoreSigned: {
			NeedsEvidence: true, Validate: validateSigstoreSigned, Judges: judges(), Advise: adviseSigstoreSigned,
			Describe: describeSigstoreSigned,
		},
		policy.Attested: {
			NeedsEvidence: true, Extension: true, Validate: validateAttested, Advise: adviseAttested,
			Describe: describeAttested,
		},
		policy.SignedBaseLayer: {
			Judges: judges(), Advise: adviseSignedBaseLayer, Describe: describeSignedBaseLayer,
		},
	}
}

// validateInline is a [policy.ValidateFunc] that reads the key files without further checks.
func validateInline(raw []byte, read func(path string) ([]byte, error)) ([]byte, error) {
	var object fields
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("reading the requirement: %w", err)
	}
	return inlined(object, read)
}

// validateSignedBy is a [policy.ValidateFunc].
func validateSignedBy(raw []byte, read func(path string) ([]byte, error)) ([]byte, error) {
	var object fields
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("reading the requirement: %w", err)
	}
	object, err := joinKeyrings(object, read)
	if err != nil {
		return nil, err
	}
	return inlined(object, read)
}

// validateSigstoreSigned is a [policy.ValidateFunc].
func validateSigstoreSigned(raw []byte, read func(path string) ([]byte, error)) ([]byte, error) {
	raw, err := validateInline(raw, read)
	if err != nil {
		return nil, err
	}
	if err := checkKeys(raw); err != nil {
		return nil, &keyError{err}
	}
	return raw, nil
}

// keyError is an error about keys from files that does not contain their paths.
type keyError struct{ error }

func (e *keyError) Unwrap() error { return e.error }
