package signaturetest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// Manifest returns a manifest that is unique for the name.
func Manifest(name string) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":%q},"layers":[]}`,
		manifestType, digest.FromString(name))
}

// Image returns an image with evidence, stored under the names that package policy/evidence uses, next to the manifest:
// containers/image reads this as a directory.
func Image(t testing.TB, manifest []byte, signatures, bundles [][]byte) (policy.Manifest, policy.Evidence) {
	t.Helper()
	directory := t.TempDir()
	Write(t, filepath.Join(directory, "manifest.json"), manifest)
	for i, raw := range signatures {
		Write(t, filepath.Join(directory, fmt.Sprintf("signature-%d", i+1)), raw)
	}
	for i, raw := range bundles {
		Write(t, filepath.Join(directory, fmt.Sprintf("bundle-%d.json", i+1)), raw)
	}
	subject := digest.FromBytes(manifest)
	return policy.Manifest{Digest: subject, MediaType: manifestType, Bytes: manifest}, policy.Evidence{
		Manifest: subject, State: policy.Found, Directory: directory,
		Signatures: len(signatures), Bundles: len(bundles),
	}
}

// Write writes a file.
func Write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
