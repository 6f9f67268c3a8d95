package fetch

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/format"
)

// Source is where a host of a registry, or a lookaside next to the registry, may have evidence of one manifest. A value
// serves one request.
type Source interface {
	// Reference names what is read: a tag, a manifest whose referrers are, or a URL.
	Reference() string
	// Description names it in errors.
	Description() string
	// Head returns what identifies the content that is there now, which is empty where there is nothing.
	Head(ctx context.Context) (digest.Digest, error)
	// Read reads the content that Head has found. What it has read before an error counts.
	Read(ctx context.Context, content *Content) error
}

// sources returns the sources that a host has.
func (h *hostRequest) sources() (all []Source) {
	if h.canResolve() {
		all = append(all, &cosignTag{hostRequest: h})
	}
	if h.canResolve() && len(h.predicates) > 0 {
		all = append(all, &attestationTag{hostRequest: h})
	}
	return append(all, &referrers{hostRequest: h})
}

// Content is what was read from a source.
type Content struct {
	Files []format.File
	// Wanted are the files beyond the limits that a caller waits for.
	Wanted []format.File
	// Detail tells what was left out. Partial reports whether the source is worth reading again, and Unusable whether
	// it has something, none of which is a signature or a bundle, or ever will be.
	Detail            string
	Partial, Unusable bool
}

// count returns how many files are of one kind.
func (c *Content) count(kind format.Kind) int { return format.Count(c.Files, kind) }

// add adds a file.
func (c *Content) add(kind format.Kind, raw []byte) {
	c.Files = append(c.Files, format.File{Kind: kind, Bytes: raw})
}

// readNone describes a source none of whose content can be read, which is err. Content is named by its digest: where
// that is the fault, every try would find the same, and it is what the source has.
func (c *Content) readNone(out *leftOut, err error) error {
	if out.temporary {
		return err
	}
	c.Unusable, c.Detail = true, err.Error()
	return nil
}
