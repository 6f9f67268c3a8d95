package policy

import "context"

// Judging is work for the processor, on a node that answers on one of them, and how much of it there is, is for whoever
// can push signatures to say: sixty-four of them, with chains of certificates, take seconds. So few judge at a time,
// and those who have little to judge do not wait for those who have much.
const (
	// shortTurns is how many judge at a time what is little, and longTurns what is not.
	shortTurns = 2
	longTurns  = 1
	// littleEvidence is how many signatures and bundles of a manifest are little, and littleManifest how many bytes of
	// it. People have one signature or two, and manifests of some kilobytes.
	littleEvidence = 8
	littleManifest = 256 << 10
)

// turns are for those who judge.
type turns struct{ short, long chan struct{} }

func newTurns() turns {
	return turns{short: make(chan struct{}, shortTurns), long: make(chan struct{}, longTurns)}
}

// take waits for a turn to judge a manifest by evidence, and returns how to give it back; or nil if the context ends
// first.
func (t turns) take(ctx context.Context, manifest Manifest, evidence Evidence) (free func()) {
	turn := t.short
	if evidence.Signatures+evidence.Bundles > littleEvidence || len(manifest.Bytes) > littleManifest {
		turn = t.long
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn }
	case <-ctx.Done():
		return nil
	}
}
