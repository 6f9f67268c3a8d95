package origin

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Limits of reading one target. Ordinary images are far below them: an index on Docker Hub with all platforms and
// attestations lists about thirty manifests, in one level.
const (
	maxBytes = 64 << 20
	maxDepth = 8
	// maxQuick is the size of the largest document that is parsed while others are.
	maxQuick = 64 << 10
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
	// asked is the number of requests to containerd for blobs that it does not have.
	asked int
	// pacer leaves the processor to decisions: images are whatever tenants have pulled.
	pacer policy.Pacer
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
	if w.isAbsent(config, false) {
		return nil
	}
	chain, size, err := w.c.readConfig(ctx, config, &w.pacer)
	switch {
	case errors.Is(err, errAbsent):
		w.absentAsked(ctx)
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
func (c *Containerd) readConfig(
	ctx context.Context, config digest.Digest, pacer *policy.Pacer,
) (chain string, size int, err error) {
	raw, err := c.readBlob(ctx, config, pacer)
	if err != nil {
		return "", 0, err
	}
	chain, err = parseConfig(raw)
	if err != nil {
		return "", 0, fmt.Errorf("%w: it is not an image config: %w", errUnsupported, err)
	}
	return chain, len(raw), nil
}
