package origin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// visit reads one manifest or index and what is reachable from it, and reports whether it is present. in is the large
// index that listed it, if any.
func (w *walk) visit(ctx context.Context, d, in digest.Digest, depth int) (here bool, err error) {
	if here, seen := w.seen[d]; seen {
		if here {
			w.link(in, d)
		}
		return here, nil
	}
	if depth > maxDepth {
		return false, fmt.Errorf("%w: indexes are nested deeper than %d", errTooLarge, maxDepth)
	}
	n, children, err := w.open(ctx, d, in)
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
	return true, w.children(ctx, d, children, depth)
}

// listed is what an index lists.
type listed struct {
	digests []digest.Digest
	large   bool
	// read is the node if it was read now. Otherwise, of a large index only those children are listed that are present.
	read *node
}

// children visits what an index lists.
func (w *walk) children(ctx context.Context, index digest.Digest, children listed, depth int) error {
	in := digest.Digest("")
	if children.large {
		in = index
	}
	complete := true
	var absent []uint64
	for _, child := range children.digests {
		w.pacer.Pause(ctx)
		if w.isAbsent(child, children.large) {
			absent = append(absent, w.c.filter.hash(child))
			continue
		}
		here, err := w.visit(ctx, child, in, depth+1)
		if err != nil {
			return err
		}
		if !here {
			complete = false
			w.absentAsked(ctx)
		}
	}
	if children.large && children.read != nil {
		w.c.images.setAbsent(index, children.read, absent, complete)
	}
	return nil
}

// An ordinary image lists some thirty manifests, and the event about one of them may not have arrived yet. So
// containerd is asked for the first absent blobs. If there are more, the filter tells which are absent; if it cannot,
// containerd is asked for so many at a time.
const (
	maxAsked   = 64
	askedPause = 20 * time.Millisecond
)

// isAbsent reports whether a blob is absent, without a call.
func (w *walk) isAbsent(blob digest.Digest, inLarge bool) bool {
	return (inLarge || w.asked >= maxAsked) && !w.c.filter.mayBePresent(w.c.filter.hash(blob))
}

// absentAsked counts a blob that is absent and that containerd was asked for.
func (w *walk) absentAsked(ctx context.Context) {
	if w.asked++; w.asked%maxAsked != 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(askedPause):
	}
}

// open returns a node, from the cache or by reading it, and its children. A large index is read again if more of its
// children may be present.
func (w *walk) open(ctx context.Context, d, in digest.Digest) (n *node, children listed, err error) {
	n = w.c.images.node(d)
	switch {
	case n == nil:
		n, children.digests, err = w.read(ctx, d)
		children.read = n
	case !n.isLarge:
		children.digests = n.children
	default:
		present, absent, complete := w.c.images.largeChildren(n)
		children.digests = present
		if !complete || w.c.filter.anyMayBePresent(absent) {
			children.read = n
			_, children.digests, err = w.read(ctx, d)
		}
	}
	if err != nil {
		return nil, listed{}, err
	}
	w.link(in, d)
	// Also if it was cached: until it is linked, it may be removed.
	if w.c.images.add(d, n, w.change) {
		w.added = true
	}
	children.large = n.isLarge
	return n, children, nil
}

func (w *walk) link(index, child digest.Digest) {
	if index != "" {
		w.c.images.link(index, child, w.change)
	}
}

// read reads a manifest or an index. Long ones are parsed one at a time.
func (w *walk) read(ctx context.Context, d digest.Digest) (*node, []digest.Digest, error) {
	raw, err := w.c.document(ctx, d, &w.pacer)
	if errors.Is(err, errUnsupported) {
		return &node{defect: err.Error()}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if len(raw) > maxQuick {
		w.c.parsing.Lock()
		defer w.c.parsing.Unlock()
	}
	parsed, err := parseDocument(raw, func() { w.pacer.Pause(ctx) })
	if err != nil {
		return &node{size: len(raw), defect: err.Error()}, nil, nil
	}
	n := &node{
		mediaType: parsed.mediaType, size: len(raw), config: parsed.config,
		listed: parsed.listed, isLarge: parsed.listed > 0 && w.listed+parsed.listed > maxSmallIndex,
	}
	if !n.isLarge {
		n.children = parsed.children
	}
	return n, parsed.children, nil
}
