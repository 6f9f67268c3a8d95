package origin

import (
	"context"

	"github.com/countersign/countersign/policy"
)

// maxConfirming limits the confirmations in progress. A question beyond the limit has to be asked again.
const maxConfirming = 256

// Confirm compares the cached data about a question's image with containerd, and corrects it. It does not wait: when
// the comparison is done, [policy.Image].Confirmed is true for that question until an event affects the image. Another
// question about the same image, such as one with a name that was pulled just now, is confirmed separately. Concurrent
// confirmations share one list of the image store.
func (c *Containerd) Confirm(q policy.Question) {
	if found := c.images.lookup(q); !found.known || !found.followed || found.confirmed {
		// There is no cached data to compare: Image lists the image store itself, or does not need to.
		return
	}
	if !c.relists.beginConfirming(q) {
		return
	}
	l := c.relist(q.Config, 0)
	started := c.start(func(context.Context) {
		if <-l.done; l.err == nil {
			c.images.confirm(q, l.change)
		}
		c.relists.endConfirming(q)
	})
	if !started {
		c.relists.endConfirming(q)
	}
}

func (l *relists) beginConfirming(q policy.Question) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, under := l.confirming[q]; under || len(l.confirming) >= maxConfirming {
		return false
	}
	l.confirming[q] = struct{}{}
	return true
}

func (l *relists) endConfirming(q policy.Question) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.confirming, q)
}
