package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"path"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxScanned bounds what is read of blobs that nothing leads to, in bytes.
const maxScanned = 256 << 20

// scan looks for artifacts among the blobs that nothing in index.json leads to: cosign save leaves Sigstore bundles so
// (cosign 3.1.3 writes index.json anew for each thing that it saves).
func (c *collection) scan() {
	var read int
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		names, err := c.layout.files.names(path.Join(ocispec.ImageBlobsDir, algorithm.String()))
		if err != nil {
			c.fail(err)
			return
		}
		for _, name := range names {
			of := digest.NewDigestFromEncoded(algorithm, name)
			if c.seen[of] || of.Validate() != nil {
				continue
			}
			if read += c.scanBlob(of); read > maxScanned {
				return
			}
		}
	}
}

// scanBlob visits a blob if it is a manifest with a subject, and returns how many bytes were read. Most are layers.
func (c *collection) scanBlob(of digest.Digest) (read int) {
	raw, err := c.layout.files.read(blobPath(of), maxArtifact)
	if err != nil || !bytes.HasPrefix(bytes.TrimSpace(raw[:min(len(raw), 16)]), []byte("{")) {
		return len(raw)
	}
	var manifest ocispec.Manifest
	if json.Unmarshal(raw, &manifest) == nil && manifest.SchemaVersion == 2 && manifest.Subject != nil {
		c.visit(ocispec.Descriptor{Digest: of}, "", 0)
	}
	return len(raw)
}

func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
