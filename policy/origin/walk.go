package origin

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// What reading one target may cost. Nothing honest comes near: an index of Docker Hub's with all platforms and
// attestations lists about thirty manifests, in one level.
const (
	maxBytes = 64 << 20
	maxDepth = 8
)

// walk reads what a target leads to: manifests, indexes, and the chain IDs of configs.
type walk struct {
	c      *Containerd
	change uint64
	seen   map[digest.Digest]bool
	// listed descriptors and the bytes of all documents are counted whether they are read or known already, so that
	// the outcome does not depend on who was read before.
	listed, bytes int
	// defect is the first thing that is of no use.
	defect string
	// added reports whether memory did not have everything that was read.
	added bool
}

// outcome is the result of reading a target. The zero outcome is that all went well, and nothing new was found.
type outcome struct {
	// failure is why it was not read, or not all of it; then again says whether to try again.
	failure string
	again   again
	added   bool
}

// errCut ends a walk that costs too much.
var errCut = errors.New("reading it costs too much")

// read reads a target.
func (c *Containerd) read(ctx context.Context, target digest.Digest, change uint64) outcome {
	w := &walk{c: c, change: change, seen: map[digest.Digest]bool{}}
	here, err := w.visit(ctx, target, "", 0)
	switch {
	case errors.Is(err, errCut):
		return outcome{err.Error(), onEvent, w.added}
	case errors.Is(err, errCorrupt):
		return outcome{err.Error(), onLook, w.added}
	case err != nil:
		return outcome{err.Error(), soon, w.added}
	case !here:
		return outcome{fmt.Sprintf("%s %v", target, errAbsent), onLook, w.added}
	default:
		return outcome{w.defect, onEvent, w.added}
	}
}

// visit reads one manifest or index and what it leads to, and says whether it is here. Where it was listed by a wide
// index, that is told.
func (w *walk) visit(ctx context.Context, d, wide digest.Digest, depth int) (here bool, err error) {
	if here, seen := w.seen[d]; seen {
		return here, nil
	}
	if depth > maxDepth {
		return false, fmt.Errorf("%w: indexes are nested deeper than %d", errCut, maxDepth)
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
	if n.wide() {
		wide = d
	}
	for _, child := range children {
		if _, err := w.visit(ctx, child, wide, depth+1); err != nil {
			return true, err
		}
	}
	return true, nil
}

// open returns a node, known or read, and all that it lists.
func (w *walk) open(ctx context.Context, d, wide digest.Digest) (n *node, children []digest.Digest, err error) {
	n = w.c.memory.node(d)
	if n == nil || n.wide() {
		if n, children, err = w.c.open(ctx, d); err != nil {
			return nil, nil, err
		}
	} else {
		children = n.children
	}
	w.link(wide, d)
	// Also if it was known: until it is linked, it may be forgotten.
	if w.c.memory.add(d, n, w.change) {
		w.added = true
	}
	return n, children, nil
}

func (w *walk) link(index, child digest.Digest) {
	if index != "" {
		w.c.memory.link(index, child, w.change)
	}
}

// open reads a manifest or an index.
func (c *Containerd) open(ctx context.Context, d digest.Digest) (*node, []digest.Digest, error) {
	raw, err := c.document(ctx, d)
	if errors.Is(err, errUseless) {
		return &node{defect: err.Error()}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	parsed, err := parseDocument(raw)
	if err != nil {
		return &node{size: len(raw), defect: err.Error()}, nil, nil //nolint:nilerr // it is what is known of this blob
	}
	n := &node{mediaType: parsed.mediaType, size: len(raw), config: parsed.config, listed: parsed.listed}
	if !n.wide() {
		n.children = parsed.children
	}
	return n, parsed.children, nil
}

// count adds a node to what the walk has cost.
func (w *walk) count(n *node) error {
	w.listed += n.listed
	if w.listed > maxDescriptors {
		return fmt.Errorf("%w: it lists more than %d descriptors", errCut, maxDescriptors)
	}
	w.bytes += n.size
	if w.bytes > maxBytes {
		return fmt.Errorf("%w: its manifests have more than %d bytes", errCut, maxBytes)
	}
	return nil
}

func (w *walk) note(d digest.Digest, defect string) {
	if w.defect == "" {
		w.defect = fmt.Sprintf("%s %s", d, defect)
	}
}

// config reads the chain ID of a config, unless it is known. A config that is not here is no fault: it may be that of
// another platform.
func (w *walk) config(ctx context.Context, config digest.Digest) error {
	if _, known := w.c.memory.chain(config); known {
		return nil
	}
	chain, size, err := w.c.readConfig(ctx, config)
	switch {
	case errors.Is(err, errAbsent):
		return nil
	case errors.Is(err, errUseless):
		w.note(config, err.Error())
		return nil
	case err != nil:
		return fmt.Errorf("%s: %w", config, err)
	}
	w.c.memory.chained(config, chain, w.change)
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
		return "", 0, fmt.Errorf("%w: it is no image config: %w", errUseless, err)
	}
	return chain, len(raw), nil
}
