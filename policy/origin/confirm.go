package origin

import (
	"context"

	"github.com/countersign/countersign/policy"
)

// maxConfirming is for how many questions at a time a confirmation can be under way; who asks beyond that asks again.
const maxConfirming = 256

// Confirm has what is remembered of a question's image compared with containerd, and put right. It does not wait: when
// that is done, [policy.Image].Confirmed is true for that question until an event that concerns the image is heard of.
// Another question about the same image, say by the name under which it was pulled just now, is confirmed separately;
// those that are asked at the same time share a list.
func (c *Containerd) Confirm(q policy.Question) {
	if found := c.memory.recall(q); !found.known || !found.followed || found.confirmed {
		// There is nothing to compare: Image looks itself, or need not.
		return
	}
	if !c.looks.beginConfirming(q) {
		return
	}
	l := c.look(q.Config, 0)
	started := c.start(func(context.Context) {
		if <-l.done; l.err == nil {
			c.memory.confirm(q, l.change)
		}
		c.looks.endConfirming(q)
	})
	if !started {
		c.looks.endConfirming(q)
	}
}

func (l *looks) beginConfirming(q policy.Question) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, under := l.confirming[q]; under || len(l.confirming) >= maxConfirming {
		return false
	}
	l.confirming[q] = struct{}{}
	return true
}

func (l *looks) endConfirming(q policy.Question) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.confirming, q)
}
