package archive

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxScanned limits the bytes that are read of blobs that may be artifacts.
const maxScanned = 256 << 20

// scan looks for artifacts among the blobs that do not stand in index.json: what an index lists, and what nothing leads
// to, as cosign save leaves Sigstore bundles (cosign 3.1.3 rewrites index.json for each item that it saves).
func (c *collection) scan() {
	read := 0
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		names, err := c.layout.files.names(path.Join(ocispec.ImageBlobsDir, algorithm.String()))
		if err != nil {
			c.fail(err)
			return
		}
		for _, name := range names {
			of := digest.NewDigestFromEncoded(algorithm, name)
			if c.seen[of] || c.layers[of] || of.Validate() != nil {
				continue
			}
			if read += c.scanBlob(of); read > maxScanned {
				c.fail(fmt.Errorf("it has more than %d bytes of documents", maxScanned))
				return
			}
		}
	}
}

// scanBlob visits a blob if it is an artifact, and returns how many bytes were read. Most are layers, and no JSON.
func (c *collection) scanBlob(of digest.Digest) (read int) {
	start, err := c.layout.files.start(blobPath(of))
	if err == nil && !bytes.HasPrefix(bytes.TrimSpace(start), []byte("{")) {
		return len(start)
	}
	var raw []byte
	if err == nil {
		raw, err = c.layout.files.read(blobPath(of), maxArtifact)
	}
	if errors.Is(err, errTooLarge) {
		return 0 // No artifact is that large.
	}
	if err != nil {
		c.fail(err)
		return 0
	}
	var manifest ocispec.Manifest
	if json.Unmarshal(raw, &manifest) == nil && manifest.SchemaVersion == 2 &&
		(manifest.Subject != nil || manifest.Annotations[annotationKind] != "") {
		c.visit(ocispec.Descriptor{Digest: of}, "")
	}
	return len(raw)
}

func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
