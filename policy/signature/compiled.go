package signature

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
)

// maxFindingAge is how long a finding that depends on the time of day is valid.
const maxFindingAge = time.Hour

// payloadType is the media type of cosign's signatures. The annotations are those in which cosign stores the parts of a
// signature (containers/image internal/signature).
const (
	payloadType           = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation   = "dev.cosignproject.cosign/signature"
	promiseAnnotation     = "dev.sigstore.cosign/bundle"
	certificateAnnotation = "dev.sigstore.cosign/certificate"
	chainAnnotation       = "dev.sigstore.cosign/chain"
	timestampAnnotation   = "dev.sigstore.cosign/rfc3161timestamp"
)

// compiled is a requirement in the form in which it is evaluated: by containers/image or, if it uses fields that
// containers/image does not know, by own.
type compiled struct {
	policy *signature.Policy
	own    *own
	// others, if set, judges signatures with the hash that belongs to their key, which containers/image cannot verify.
	others *own
	// expires reports whether the requirement depends on the time of day.
	expires bool
	// certificates reports whether it depends on certificates in the signatures; validityBounds are when the requirement's
	// certificates become valid and expire.
	certificates   bool
	validityBounds []time.Time
	// keys are the fingerprints of the trusted keys, for details.
	keys []string
}

// compile returns a requirement as a policy whose default is this requirement alone.
func (j *Judge) compile(requirement *policy.Requirement) (*compiled, error) {
	if known, ok := j.requirements.Get(requirement.ID); ok && requirement.ID != "" {
		return known, nil
	}
	if extended(requirement) {
		judge, err := newOwn(requirement.JSON)
		if err != nil {
			return nil, fmt.Errorf("parsing requirement %s: %w", requirement.ID, err)
		}
		made := &compiled{own: judge}
		j.requirements.Add(requirement.ID, made)
		return made, nil
	}
	document := bytes.Join([][]byte{[]byte(`{"default":[`), requirement.JSON, []byte(`]}`)}, nil)
	parsed, err := signature.NewPolicyFromBytes(document)
	if err != nil {
		return nil, fmt.Errorf("parsing requirement %s: %w", requirement.ID, err)
	}
	made := &compiled{policy: parsed}
	switch requirement.Kind {
	case policy.InsecureAcceptAnything, policy.Reject, policy.SignedBaseLayer, policy.Attested:
	case policy.SignedBy:
		made.expires, made.keys = true, keyringFingerprints(requirement)
	case policy.SigstoreSigned:
		if err := made.addCertificates(requirement.JSON); err != nil {
			return nil, fmt.Errorf("requirement %s: %w", requirement.ID, err)
		}
		made.keys = publicKeyFingerprints(requirement)
		if made.others, err = newOthers(requirement.JSON); err != nil {
			return nil, fmt.Errorf("requirement %s: %w", requirement.ID, err)
		}
	}
	j.requirements.Add(requirement.ID, made)
	return made, nil
}

// extended reports whether a requirement uses fields that containers/image does not know.
func extended(requirement *policy.Requirement) bool {
	if requirement.Kind != policy.SigstoreSigned {
		return false
	}
	var t trust
	if json.Unmarshal(requirement.JSON, &t) != nil {
		return false
	}
	return t.TrustedRootData != nil || t.Hash != "" || t.Fulcio != nil && t.Fulcio.Extended()
}

// addCertificates adds the validity bounds of the certificates of a requirement with "pki".
func (r *compiled) addCertificates(requirement []byte) error {
	var t trust
	if err := json.Unmarshal(requirement, &t); err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	if t.PKI == nil {
		return nil
	}
	r.expires, r.certificates = true, true
	r.validityBounds = append(r.validityBounds, validityBounds(t.PKI.CARootsData)...)
	r.validityBounds = append(r.validityBounds, validityBounds(t.PKI.CAIntermediatesData)...)
	return nil
}

// until returns when a finding expires, or zero if it never does.
func (r *compiled) until(now time.Time, image *image) time.Time {
	if !r.expires {
		return time.Time{}
	}
	until := now.Add(maxFindingAge)
	sooner := func(edges []time.Time) {
		for _, edge := range edges {
			if edge.After(now) && edge.Before(until) {
				until = edge
			}
		}
	}
	if !r.certificates {
		return until
	}
	sooner(r.validityBounds)
	for _, one := range image.signatures {
		annotated, ok := one.(interface{ UntrustedAnnotations() map[string]string })
		if !ok {
			continue
		}
		annotations := annotated.UntrustedAnnotations()
		sooner(validityBounds([]byte(annotations[certificateAnnotation])))
		sooner(validityBounds([]byte(annotations[chainAnnotation])))
	}
	return until
}

// validityBounds returns when certificates in PEM become valid and expire. It skips those that cannot be parsed: no
// finding depends on them, except that they cannot be parsed.
func validityBounds(pem []byte) []time.Time {
	certificates, err := cryptoutils.UnmarshalCertificatesFromPEM(pem)
	if err != nil {
		return nil
	}
	var times []time.Time
	for _, certificate := range certificates {
		// A certificate is still valid at NotAfter.
		times = append(times, certificate.NotBefore, certificate.NotAfter.Add(time.Nanosecond))
	}
	return times
}
