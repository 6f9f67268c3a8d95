package verifier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// descriptorMediaType is the media type of containerd's input (OCI image-spec v1.1, descriptor.md).
const descriptorMediaType = "application/vnd.oci.descriptor.v1+json"

// maxDescriptor limits the size of a descriptor in bytes. containerd writes one of about 200; it may have as many
// annotations as fit into a manifest, 4 MiB.
const maxDescriptor = 4 << 20

// descriptor contains the fields of a descriptor that are used.
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// readDescriptor reads all of stdin, which must be one descriptor. If the context ends first, the read continues until
// the program ends.
func readDescriptor(ctx context.Context, stdin io.Reader) (descriptor, error) {
	type result struct {
		raw []byte
		err error
	}
	read := make(chan result, 1)
	go func() {
		raw, err := io.ReadAll(io.LimitReader(stdin, maxDescriptor+1))
		read <- result{raw, err}
	}()
	select {
	case <-ctx.Done():
		return descriptor{}, fmt.Errorf("waiting for the descriptor on stdin: %w", ctx.Err())
	case r := <-read:
		if r.err != nil {
			return descriptor{}, fmt.Errorf("reading the descriptor on stdin: %w", r.err)
		}
		return parseDescriptor(r.raw)
	}
}

func parseDescriptor(raw []byte) (descriptor, error) {
	if len(raw) > maxDescriptor {
		return descriptor{}, fmt.Errorf("the descriptor on stdin is larger than %d bytes", maxDescriptor)
	}
	var d descriptor
	if err := json.Unmarshal(raw, &d); err != nil {
		return descriptor{}, fmt.Errorf("parsing the descriptor on stdin: %w", err)
	}
	if d.Digest == "" || d.MediaType == "" || d.Size < 0 {
		return descriptor{}, errors.New("the descriptor on stdin lacks a digest, a media type or a size")
	}
	return d, nil
}
