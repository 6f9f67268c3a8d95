package claim

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/signature"
)

// maxTimestamps is how many timestamps of a signature are read. Signatures have one or two.
const maxTimestamps = 8

// Timestamp is a timestamp (RFC 3161) of a signature: an authority's word that it has seen the signature at that time.
// Its JSON is a public interface.
type Timestamp struct {
	// Time is an RFC 3339 time, or empty if it cannot be read.
	Time string `json:"time,omitempty"`
	// Verified reports whether an authority of a trusted root has signed the timestamp for this signature, which does not
	// say that the signature is valid: see [Claim.VerifyTimestamps].
	Verified bool `json:"verified"`
	// Problem is why it cannot be read, or is not by an authority of the trusted root.
	Problem string `json:"problem,omitempty"`
}

// String returns the timestamp for people.
func (t Timestamp) String() string {
	switch {
	case t.Verified:
		return t.Time + ", verified: a timestamp authority of the trusted root has seen this signature"
	case t.Problem != "" && t.Time != "":
		return t.Time + ", not by the trusted root: " + t.Problem
	case t.Problem != "":
		return "unreadable: " + t.Problem
	default:
		return t.Time + ", unverified"
	}
}

// stamped is a signature and the responses of timestamp authorities about it.
type stamped struct {
	signature []byte
	responses [][]byte
}

// stamp sets the timestamps of a signature.
func (c *Claim) stamp(of []byte, responses ...[]byte) {
	c.stamped = stamped{of, responses[:min(len(responses), maxTimestamps)]}
	for _, response := range c.stamped.responses {
		made := Timestamp{}
		if at, err := signature.ClaimedTime(response); err != nil {
			made.Problem = err.Error()
		} else {
			made.Time = formatTime(at)
		}
		c.Timestamps = append(c.Timestamps, made)
	}
}

// VerifyTimestamps verifies the timestamps: verify returns the time at which an authority has seen a signature.
func (c *Claim) VerifyTimestamps(verify func(signature, timestamp []byte) (time.Time, error)) {
	for i, response := range c.stamped.responses {
		at, err := verify(c.stamped.signature, response)
		if err != nil {
			c.Timestamps[i].Problem = err.Error()
			continue
		}
		c.Timestamps[i] = Timestamp{Time: formatTime(at), Verified: true}
	}
}

// stampOld reads the timestamp that cosign puts next to a signature of the old format.
func (c *Claim) stampOld(of format.Signature) {
	var annotation struct {
		Response []byte `json:"SignedRFC3161Timestamp"`
	}
	raw, err := base64.StdEncoding.DecodeString(of.Annotations["dev.cosignproject.cosign/signature"])
	text, ok := of.Annotations["dev.sigstore.cosign/rfc3161timestamp"]
	if err == nil && ok && json.Unmarshal([]byte(text), &annotation) == nil {
		c.stamp(raw, annotation.Response)
	}
}
