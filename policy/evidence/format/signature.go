package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// SimpleSigning is the media type of the layers that cosign puts under the tag <algorithm>-<hex>.sig.
const SimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"

// sigstoreSignature is the JSON of a signature-N file of sigstore's kind (go.podman.io/image/v5 v5.42.0,
// internal/signature: "sigstore-json"). The order of the fields is theirs.
type sigstoreSignature struct {
	MediaType   string            `json:"mimeType"`
	Payload     []byte            `json:"payload"`
	Annotations map[string]string `json:"annotations"`
}

// SignatureFile returns a signature as containers/image writes it into a signature-N file, byte for byte.
func SignatureFile(mediaType string, payload []byte, annotations map[string]string) ([]byte, error) {
	body, err := json.Marshal(sigstoreSignature{MediaType: mediaType, Payload: payload, Annotations: annotations})
	if err != nil {
		return nil, fmt.Errorf("encoding a signature: %w", err)
	}
	return append([]byte("\x00sigstore-json\n"), body...), nil
}

// Signature is a signature file, read but not verified.
type Signature struct {
	// MediaType is that of the payload of a signature of sigstore's kind. It is empty where the file is one of simple
	// signing (policy requirement signedBy): the payload is then an OpenPGP message.
	MediaType   string
	Payload     []byte
	Annotations map[string]string
}

// The kinds of signature files, which follow a zero byte (go.podman.io/image/v5 v5.42.0, internal/signature).
const (
	sigstoreKind      = "sigstore-json"
	simpleSigningKind = "simple-signing"
)

// ParseSignature reads a signature-N file. It accepts no file that containers/image's dir: transport does not read:
// one such in a directory would make all of them unreadable. Nor does it accept certificates that take long to judge.
func ParseSignature(file []byte) (Signature, error) {
	if len(file) > MaxSignatureFile {
		return Signature{}, fmt.Errorf("it has %d bytes, and a signature has at most %d", len(file), MaxSignatureFile)
	}
	if startsOpenPGP(file) {
		return simple(file)
	}
	rest, marked := bytes.CutPrefix(file, []byte{0})
	kind, content, _ := bytes.Cut(rest, []byte{'\n'})
	switch {
	case !marked:
		return Signature{}, errors.New("it is neither a signature of sigstore's nor an OpenPGP message")
	case string(kind) == simpleSigningKind:
		return simple(content)
	case string(kind) != sigstoreKind:
		return Signature{}, fmt.Errorf("it is a signature of an unknown kind, %.40q", kind)
	}
	var parsed sigstoreSignature
	if err := json.Unmarshal(content, &parsed); err != nil {
		return Signature{}, fmt.Errorf("it is not a signature of sigstore's: %w", err)
	}
	if parsed.MediaType == "" || len(parsed.Payload) == 0 {
		return Signature{}, errors.New("it is a signature of nothing: it has no payload, or one of no media type")
	}
	if len(parsed.Payload) > MaxFile {
		return Signature{}, fmt.Errorf("its payload has %d bytes, and one has at most %d", len(parsed.Payload), MaxFile)
	}
	if err := CheckCertificates(parsed.Annotations); err != nil {
		return Signature{}, err
	}
	return Signature(parsed), nil
}

func simple(message []byte) (Signature, error) {
	if len(message) == 0 || len(message) > MaxFile {
		return Signature{}, fmt.Errorf("its OpenPGP message has %d bytes, and one has 1 to %d", len(message), MaxFile)
	}
	return Signature{Payload: message}, nil
}

// File returns the signature as a signature-N file.
func (s Signature) File() ([]byte, error) {
	if s.MediaType != "" {
		return SignatureFile(s.MediaType, s.Payload, s.Annotations)
	}
	if startsOpenPGP(s.Payload) {
		return s.Payload, nil
	}
	return append([]byte("\x00"+simpleSigningKind+"\n"), s.Payload...), nil
}

// startsOpenPGP reports whether the first byte of a file is that of an OpenPGP message: the header of a packet of
// compressed data, of a one-pass signature or of a signature, in the old format or the new one.
func startsOpenPGP(file []byte) bool {
	if len(file) == 0 {
		return false
	}
	switch file[0] {
	case 0xA0, 0xA1, 0xA2, 0xA3, 0xC8, 0x90, 0x91, 0x92, 0x3d, 0xC4, 0x88, 0x89, 0x8A, 0x8B, 0xC2:
		return true
	default:
		return false
	}
}
