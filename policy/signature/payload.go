package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	sigstore "github.com/sigstore/sigstore/pkg/signature"

	"github.com/countersign/countersign/policy/internal/signedidentity"
	"github.com/countersign/countersign/policy/internal/strictjson"
)

// signatureType is the type of cosign's statements (containers/image internal/sigstore_payload.go).
const signatureType = "cosign container image signature"

// statement is what a signature says about an image.
type statement struct {
	digest    digest.Digest
	reference string
}

// parseStatement parses a signed payload as strictly as containers/image (v5.42.0).
func parseStatement(payload []byte) (statement, error) {
	var critical, optional, image, identity json.RawMessage
	var kind, claimed string
	var s statement
	for _, part := range []struct {
		name string
		raw  *json.RawMessage
		into map[string]any
	}{
		{"the payload", (*json.RawMessage)(&payload), map[string]any{"critical": &critical, "optional": &optional}},
		{"critical", &critical, map[string]any{"type": &kind, "image": &image, "identity": &identity}},
		{"image", &image, map[string]any{"docker-manifest-digest": &claimed}},
		{"identity", &identity, map[string]any{"docker-reference": &s.reference}},
	} {
		if err := exactly(*part.raw, part.into); err != nil {
			return statement{}, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if kind != signatureType {
		return statement{}, fmt.Errorf("unrecognized signature type %q", kind)
	}
	var err error
	if s.digest, err = digest.Parse(claimed); err != nil {
		return statement{}, fmt.Errorf("docker-manifest-digest %q: %w", claimed, err)
	}
	return s, checkOptional(optional)
}

// checkOptional returns an error unless the optional members are of the kinds that containers/image accepts.
func checkOptional(optional []byte) error {
	if bytes.Equal(optional, []byte("null")) {
		return nil
	}
	walker := strictjson.NewWalker(optional, strictjson.Leniency{InvalidUTF8: true, DuplicatesInValues: true})
	err := walker.Object(func(name string) error {
		value, err := walker.Value()
		if err != nil {
			return err
		}
		switch name {
		case "creator":
			var creator string
			return strictjson.Unmarshal(value, &creator)
		case "timestamp":
			var at float64
			if err := strictjson.Unmarshal(value, &at); err != nil {
				return err
			}
			if float64(int64(at)) != at {
				return fmt.Errorf("timestamp %v is not an integer", at)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("optional: %w", err)
	}
	return nil
}

// verifyOther verifies a signature that containers/image cannot verify because of its hash: that it is made with the
// key, for the image, under a name that signedIdentity accepts. The texts are those of containers/image, so that they
// have the same causes.
func (o *own) verifyOther(image *image, one *candidate, by sigstore.Verifier) error {
	raw, err := base64.StdEncoding.DecodeString(one.signature)
	if err != nil {
		return fmt.Errorf("base64 decoding: %w", err)
	}
	if err := by.VerifySignature(bytes.NewReader(raw), bytes.NewReader(one.payload)); err != nil {
		return fmt.Errorf("cryptographic signature verification failed: %w", err)
	}
	said, err := parseStatement(one.payload)
	if err != nil {
		return fmt.Errorf("its payload: %w", err)
	}
	if is := digest.FromBytes(image.manifest.Bytes); said.digest != is {
		return fmt.Errorf("its payload: Signature for digest %s does not match %s", said.digest, is)
	}
	identity, err := signedidentity.Parse(o.signedIdentity)
	if err != nil {
		return err
	}
	if !identity.Accepts(image.identity.DockerReference(), said.reference) {
		return fmt.Errorf("its payload: Signature for identity %q is not accepted", said.reference)
	}
	return nil
}
