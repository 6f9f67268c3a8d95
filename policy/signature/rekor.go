package signature

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/internal/strictjson"
)

// logged is what an entry in a transparency log must record: a signature in base64 of a payload, with a certificate in
// PEM.
type logged struct {
	signature   string
	payload     []byte
	certificate []byte
	// anyHash reports whether it may be recorded with another hash than SHA-256, the only one that containers/image knows.
	anyHash bool
}

// log is a transparency log of a requirement. valid, if set, returns nil if its key was valid at that time.
type log struct {
	key   *ecdsa.PublicKey
	valid func(time.Time) error
}

// verifyPromise verifies the promise of a log (SET) to include an entry for this signature, and returns the time in it.
// It accepts what containers/image accepts (internal/rekor_set.go, v5.42.0), which exports no function for it.
func verifyPromise(logs []log, promise []byte, of logged) (time.Time, error) {
	var signed []byte
	var payload json.RawMessage
	if err := exactly(promise, map[string]any{"SignedEntryTimestamp": &signed, "Payload": &payload}); err != nil {
		return time.Time{}, fmt.Errorf("its log entry: %w", err)
	}
	canonical, err := jsoncanonicalizer.Transform(payload)
	if err != nil {
		return time.Time{}, fmt.Errorf("its log entry is not canonical JSON: %w", err)
	}
	hash := sha256.Sum256(canonical)
	by := slices.IndexFunc(logs, func(one log) bool { return ecdsa.VerifyASN1(one.key, hash[:], signed) })
	if by < 0 {
		return time.Time{}, errors.New("its inclusion promise is by none of the requirement's logs")
	}
	// The bytes that the log signed are parsed, not those that were delivered.
	var entry struct {
		body            []byte
		time, index     int64
		logID           string
		recordedPayload hashedRekord
	}
	if err := exactly(canonical, map[string]any{
		"body": &entry.body, "integratedTime": &entry.time, "logIndex": &entry.index, "logID": &entry.logID,
	}); err != nil {
		return time.Time{}, fmt.Errorf("its log entry: %w", err)
	}
	if err := json.Unmarshal(entry.body, &entry.recordedPayload); err != nil {
		return time.Time{}, fmt.Errorf("the body of its log entry: %w", err)
	}
	if err := entry.recordedPayload.records(of); err != nil {
		return time.Time{}, fmt.Errorf("its log entry: %w", err)
	}
	at := time.Unix(entry.time, 0)
	if valid := logs[by].valid; valid != nil {
		return at, valid(at)
	}
	return at, nil
}

// exactly parses an object that has exactly these members, each once.
func exactly(raw []byte, into map[string]any) error {
	walker := strictjson.NewWalker(raw, strictjson.Leniency{InvalidUTF8: true, DuplicatesInValues: true})
	read := 0
	err := walker.Object(func(name string) error {
		target, ok := into[name]
		if !ok {
			return fmt.Errorf("unknown key %q", name)
		}
		read++
		value, err := walker.Value()
		if err != nil {
			return err
		}
		// The walker's memory is valid until the next read.
		return strictjson.Unmarshal(bytes.Clone(value), target)
	})
	if err != nil {
		return err
	}
	if read != len(into) {
		return fmt.Errorf("it has %d of %d keys", read, len(into))
	}
	return walker.End("object")
}

// hashedRekord is the body of an entry of kind hashedrekord, version 0.0.1. The log has signed it.
type hashedRekord struct {
	Kind       string  `json:"kind"`
	APIVersion *string `json:"apiVersion"`
	Spec       struct {
		Data *struct {
			Hash *struct {
				Algorithm *string `json:"algorithm"`
				Value     *string `json:"value"`
			} `json:"hash"`
		} `json:"data"`
		Signature *struct {
			Content   []byte `json:"content"`
			PublicKey *struct {
				Content []byte `json:"content"`
			} `json:"publicKey"`
		} `json:"signature"`
	} `json:"spec"`
}

// records returns nil if the entry is for this signature.
func (r *hashedRekord) records(of logged) error {
	signature, data := r.Spec.Signature, r.Spec.Data
	switch {
	case r.Kind != "hashedrekord":
		return fmt.Errorf("it is of kind %q, not hashedrekord", r.Kind)
	case r.APIVersion == nil || *r.APIVersion != "0.0.1":
		return errors.New("it is not of version 0.0.1")
	case signature == nil || signature.PublicKey == nil:
		return errors.New("it has no signature or no certificate")
	case data == nil || data.Hash == nil || data.Hash.Algorithm == nil || data.Hash.Value == nil:
		return errors.New("it has no hash")
	case !of.knows(*data.Hash.Algorithm):
		return fmt.Errorf("its hash is of kind %q, not sha256", *data.Hash.Algorithm)
	}
	recorded, err := onlyBlock(signature.PublicKey.Content)
	if err != nil {
		return fmt.Errorf("its certificate: %w", err)
	}
	certificate, err := onlyBlock(of.certificate)
	if err != nil {
		return fmt.Errorf("the signature's certificate: %w", err)
	}
	if !bytes.Equal(recorded, certificate) {
		return errors.New("it is for another certificate")
	}
	raw, err := base64.StdEncoding.DecodeString(of.signature)
	if err != nil || !bytes.Equal(signature.Content, raw) {
		return errors.New("it is for another signature")
	}
	is := digest.Algorithm(*data.Hash.Algorithm).FromBytes(of.payload).Encoded()
	if is != strings.ToLower(*data.Hash.Value) {
		return errors.New("it is for another payload")
	}
	return nil
}

// knows reports whether the payload may be recorded with a hash of this name.
func (l *logged) knows(algorithm string) bool {
	return algorithm == "sha256" || l.anyHash && (algorithm == "sha384" || algorithm == "sha512")
}

// onlyBlock returns the contents of the only block in PEM.
func onlyBlock(raw []byte) ([]byte, error) {
	block, rest := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	if len(rest) != 0 {
		return nil, errors.New("there is data after it")
	}
	return block.Bytes, nil
}
