package policy

import "context"

// Judging takes processor time, the node decides on one processor, and anyone who can push signatures determines how
// long it takes: sixty-four signatures with certificate chains take seconds. So few judgements run concurrently, and
// cheap ones do not wait for expensive ones.
const (
	// maxCheap and maxExpensive limit concurrent judgements.
	maxCheap     = 2
	maxExpensive = 1
	// cheapEvidence is the maximum number of signatures and bundles of a manifest, and cheapManifest its maximum size in
	// bytes, that are cheap to judge. One or two signatures and manifests of some kilobytes are usual.
	cheapEvidence = 8
	cheapManifest = 256 << 10
	// attestationWeight is how many signatures an attestation costs as much as: it can have two megabytes.
	attestationWeight = 4
)

// limiter limits the number of concurrent judgements.
type limiter struct{ cheap, expensive chan struct{} }

func newLimiter() limiter {
	return limiter{cheap: make(chan struct{}, maxCheap), expensive: make(chan struct{}, maxExpensive)}
}

// acquire waits until a manifest may be judged, and returns the function that ends the judgement, or nil if the context
// ends first.
func (l limiter) acquire(ctx context.Context, manifest Manifest, evidence Evidence) (release func()) {
	slots := l.cheap
	weight := evidence.Signatures + evidence.Bundles + attestationWeight*evidence.Attestations
	if weight > cheapEvidence || manifest.size() > cheapManifest {
		slots = l.expensive
	}
	select {
	case slots <- struct{}{}:
		return func() { <-slots }
	case <-ctx.Done():
		return nil
	}
}
