package evidence

import (
	"encoding/json"
	"fmt"
)

// Bounds on what a registry can make a node keep for one manifest in one repository.
const (
	// maxSignatures is how many signatures one directory holds.
	maxSignatures = 64
	// maxBundles is how many Sigstore bundles it holds.
	maxBundles = 64
	// maxPayload bounds one signature's payload, and one bundle, in bytes.
	maxPayload = 1 << 20
	// maxDirectory bounds the files of one directory together, in bytes.
	maxDirectory = 32 << 20
)

// simpleSigning is the media type of the layers that cosign puts under the tag <algorithm>-<hex>.sig.
const simpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"

// sigstoreSignature is the JSON of a signature-N file of sigstore's kind (go.podman.io/image/v5 v5.42.0,
// internal/signature: "sigstore-json"). The order of the fields is theirs.
type sigstoreSignature struct {
	MediaType   string            `json:"mimeType"`
	Payload     []byte            `json:"payload"`
	Annotations map[string]string `json:"annotations"`
}

// signatureFile returns a signature as containers/image writes it into a signature-N file, byte for byte.
func signatureFile(mediaType string, payload []byte, annotations map[string]string) ([]byte, error) {
	body, err := json.Marshal(sigstoreSignature{MediaType: mediaType, Payload: payload, Annotations: annotations})
	if err != nil {
		return nil, fmt.Errorf("encoding a signature: %w", err)
	}
	return append([]byte("\x00sigstore-json\n"), body...), nil
}
