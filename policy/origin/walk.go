package origin

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// Limits of reading one target. Ordinary images are far below them: an index on Docker Hub with all platforms and
// attestations lists about thirty manifests, in one level.
const (
	maxBytes = 64 << 20
	maxDepth = 8
)

// walk reads everything that is reachable from a target: manifests, indexes, and the chain IDs of configs.
type walk struct {
	c      *Containerd
	change uint64
	seen   map[digest.Digest]bool
	// listed descriptors and the bytes of all documents are counted whether they are cached or not, so that the result
	// does not depend on the order of reads.
	listed, bytes int
	// defect is the first defect that was found.
	defect string
	// added reports whether something was added to the cache.
	added bool
}

// outcome is the result of reading a target. The zero value is a read without failures that added nothing.
type outcome struct {
	// failure is why it was not read in full, and retry when to read it again.
	failure string
	retry   retryPolicy
	added   bool
}

// errTooLarge ends a walk that exceeds a limit.
var errTooLarge = errors.New("it is too large to read")

// read reads a target.
func (c *Containerd) read(ctx context.Context, target digest.Digest, change uint64) outcome {
	w := &walk{c: c, change: change, seen: map[digest.Digest]bool{}}
	here, err := w.visit(ctx, target, "", 0)
	switch {
	case errors.Is(err, errTooLarge):
		return outcome{err.Error(), retryOnEvent, w.added}
	case errors.Is(err, errCorrupt):
		return outcome{err.Error(), retryOnRelist, w.added}
	case err != nil:
		return outcome{err.Error(), retryWithBackoff, w.added}
	case !here:
		return outcome{fmt.Sprintf("%s %v", target, errAbsent), retryOnRelist, w.added}
	default:
		return outcome{w.defect, retryOnEvent, w.added}
	}
}

// visit reads one manifest or index and what is reachable from it, and reports whether it is present. wide is the large
// index that listed it, if any.
func (w *walk) visit(ctx context.Context, d, wide digest.Digest, depth int) (here bool, err error) {
	if here, seen := w.seen[d]; seen {
		return here, nil
	}
	if depth > maxDepth {
		return false, fmt.Errorf("%w: indexes are nested deeper than %d", errTooLarge, maxDepth)
	}
	n, children, err := w.open(ctx, d, wide)
	if errors.Is(err, errAbsent) {
		w.seen[d] = false
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", d, err)
	}
	w.seen[d] = true
	if err := w.count(n); err != nil {
		return true, err
	}
	if n.defect != "" {
		w.note(d, n.defect)
		return true, nil
	}
	if n.config != "" {
		return true, w.config(ctx, n.config)
	}
	wide = ""
	if n.large() {
		wide = d
	}
	for _, child := range children {
		if _, err := w.visit(ctx, child, wide, depth+1); err != nil {
			return true, err
		}
	}
	return true, nil
}

// open returns a node, from the cache or by reading it, and its children.
func (w *walk) open(ctx context.Context, d, wide digest.Digest) (n *node, children []digest.Digest, err error) {
	n = w.c.images.node(d)
	if n == nil || n.large() {
		if n, children, err = w.c.open(ctx, d); err != nil {
			return nil, nil, err
		}
	} else {
		children = n.children
	}
	w.link(wide, d)
	// Also if it was cached: until it is linked, it may be removed.
	if w.c.images.add(d, n, w.change) {
		w.added = true
	}
	return n, children, nil
}

func (w *walk) link(index, child digest.Digest) {
	if index != "" {
		w.c.images.link(index, child, w.change)
	}
}

// open reads a manifest or an index.
func (c *Containerd) open(ctx context.Context, d digest.Digest) (*node, []digest.Digest, error) {
	raw, err := c.document(ctx, d)
	if errors.Is(err, errUnsupported) {
		return &node{defect: err.Error()}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	parsed, err := parseDocument(raw)
	if err != nil {
		return &node{size: len(raw), defect: err.Error()}, nil, nil //nolint:nilerr // the defect is cached with the blob
	}
	n := &node{mediaType: parsed.mediaType, size: len(raw), config: parsed.config, listed: parsed.listed}
	if !n.large() {
		n.children = parsed.children
	}
	return n, parsed.children, nil
}

// count adds a node to the counters of the walk.
func (w *walk) count(n *node) error {
	w.listed += n.listed
	if w.listed > maxDescriptors {
		return fmt.Errorf("%w: it lists more than %d descriptors", errTooLarge, maxDescriptors)
	}
	w.bytes += n.size
	if w.bytes > maxBytes {
		return fmt.Errorf("%w: its manifests have more than %d bytes", errTooLarge, maxBytes)
	}
	return nil
}

func (w *walk) note(d digest.Digest, defect string) {
	if w.defect == "" {
		w.defect = fmt.Sprintf("%s %s", d, defect)
	}
}

// config reads the chain ID of a config, unless it is cached. An absent config is not an error: it may be that of
// another platform.
func (w *walk) config(ctx context.Context, config digest.Digest) error {
	if _, known := w.c.images.chainID(config); known {
		return nil
	}
	chain, size, err := w.c.readConfig(ctx, config)
	switch {
	case errors.Is(err, errAbsent):
		return nil
	case errors.Is(err, errUnsupported):
		w.note(config, err.Error())
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", config, err)
	}
	w.c.images.setChainID(config, chain, w.change)
	w.added = true
	return w.count(&node{size: size})
}

// readConfig returns the chain ID of an image's layers, and the size of its config.
func (c *Containerd) readConfig(ctx context.Context, config digest.Digest) (chain string, size int, err error) {
	raw, err := c.readBlob(ctx, config)
	if err != nil {
		return "", 0, err
	}
	chain, err = parseConfig(raw)
	if err != nil {
		return "", 0, fmt.Errorf("%w: it is not an image config: %w", errUnsupported, err)
	}
	return chain, len(raw), nil
}
