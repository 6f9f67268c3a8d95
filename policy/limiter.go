package policy

import "context"

// Judging takes processor time, the node decides on one processor, and anyone who can push signatures determines how
// long it takes: sixty-four signatures with certificate chains take seconds. So few judgements run at a time, and cheap
// ones do not wait for expensive ones.
const (
	// maxCheap and maxExpensive are how many judgements run at a time.
	maxCheap     = 2
	maxExpensive = 1
	// cheapEvidence is the most signatures and bundles of a manifest, and cheapManifest the most bytes of it, that are
	// cheap to judge. Usual are one or two signatures, and manifests of some kilobytes.
	cheapEvidence = 8
	cheapManifest = 256 << 10
)

// limiter limits how many judgements run at a time.
type limiter struct{ cheap, expensive chan struct{} }

func newLimiter() limiter {
	return limiter{cheap: make(chan struct{}, maxCheap), expensive: make(chan struct{}, maxExpensive)}
}

// acquire waits until a manifest may be judged by evidence, and returns the function that ends the judgement; it
// returns nil if the context ends first.
func (l limiter) acquire(ctx context.Context, manifest Manifest, evidence Evidence) (release func()) {
	slots := l.cheap
	if evidence.Signatures+evidence.Bundles > cheapEvidence || len(manifest.Bytes) > cheapManifest {
		slots = l.expensive
	}
	select {
	case slots <- struct{}{}:
		return func() { <-slots }
	case <-ctx.Done():
		return nil
	}
}
