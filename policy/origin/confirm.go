package origin

import (
	"context"

	"github.com/countersign/countersign/policy"
	"github.com/opencontainers/go-digest"
)

// maxConfirming is for how many configs at a time a confirmation can be under way; who asks beyond that asks again.
const maxConfirming = 256

// Confirm has what is remembered of a question's image compared with containerd, and put right. It does not wait: when
// that is done, [policy.Image].Confirmed is true until an event that concerns the image is heard of. Questions about
// one config share a confirmation.
func (c *Containerd) Confirm(q policy.Question) {
	found, followed, confirmed := c.memory.recall(q.Config)
	if found == nil || !followed || confirmed {
		// There is nothing to compare: Image looks by itself, or need not.
		return
	}
	if !c.looks.beginConfirming(q.Config) {
		return
	}
	l := c.look(q.Config, 0)
	started := c.start(func(context.Context) {
		<-l.done
		c.looks.endConfirming(q.Config)
	})
	if !started {
		c.looks.endConfirming(q.Config)
	}
}

func (l *looks) beginConfirming(config digest.Digest) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, under := l.confirming[config]; under || len(l.confirming) >= maxConfirming {
		return false
	}
	l.confirming[config] = struct{}{}
	return true
}

func (l *looks) endConfirming(config digest.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.confirming, config)
}
