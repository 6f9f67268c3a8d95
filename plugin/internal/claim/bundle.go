package claim

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/countersign/countersign/policy/evidence/format"
)

func ofBundles(files []format.File, kind format.Kind) (claims []Claim) {
	for n, raw := range format.Contents(files, kind) {
		c := Claim{File: kind.Name(n), Kind: "bundle"}
		if kind == format.KindAttestation {
			c.Kind = "attestation"
		}
		c.bundle(raw)
		claims = append(claims, c)
	}
	return claims
}

func (c *Claim) bundle(raw []byte) {
	parsed, err := format.ParseBundle(raw)
	if err != nil {
		c.Problem = err.Error()
		return
	}
	c.Predicate, c.Key = parsed.PredicateType, parsed.Hint
	if parsed.Certificate != nil {
		c.certificate(parsed.Certificate)
	}
	var statement struct {
		Subject []struct {
			Name        string            `json:"name"`
			Digest      map[string]string `json:"digest"`
			Annotations map[string]any    `json:"annotations"`
		} `json:"subject"`
	}
	if json.Unmarshal(parsed.Payload, &statement) == nil && len(statement.Subject) > 0 {
		subject := statement.Subject[0]
		c.Identity, _ = subject.Annotations["docker-reference"].(string)
		if c.Identity == "" {
			c.Identity = subject.Name
		}
		var digests []string
		for _, algorithm := range slices.Sorted(maps.Keys(subject.Digest)) {
			digests = append(digests, algorithm+":"+subject.Digest[algorithm])
		}
		c.Manifest = strings.Join(digests, ", ")
	}
	c.material(raw)
}

// material reads a bundle's log entry and its timestamps.
func (c *Claim) material(raw []byte) {
	var document struct {
		Material struct {
			Entries []struct {
				Time  json.Number `json:"integratedTime"`
				Index json.Number `json:"logIndex"`
			} `json:"tlogEntries"`
			Timestamps struct {
				All []struct {
					Response []byte `json:"signedTimestamp"`
				} `json:"rfc3161Timestamps"`
			} `json:"timestampVerificationData"`
		} `json:"verificationMaterial"`
		Envelope struct {
			Signatures []struct {
				Signature []byte `json:"sig"`
			} `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	if json.Unmarshal(raw, &document) != nil {
		c.Problem = cmp.Or(c.Problem, "its log entries, timestamps or signatures are not those of a Sigstore bundle")
		return
	}
	if entries := document.Material.Entries; len(entries) > 0 {
		seconds, _ := entries[0].Time.Int64()
		// JSON of protocol buffers leaves out a zero: the index of a log's first entry.
		c.LogIndex = cmp.Or(entries[0].Index.String(), "0")
		c.integrated(seconds)
	}
	if signatures := document.Envelope.Signatures; len(signatures) > 0 {
		var responses [][]byte
		for _, one := range document.Material.Timestamps.All {
			responses = append(responses, one.Response)
		}
		c.stamp(signatures[0].Signature, responses...)
	}
}
