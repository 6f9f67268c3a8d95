package origin

import (
	"context"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// maxConfirming limits the confirmations in progress. A question beyond the limit has to be asked again.
const maxConfirming = 256

// Confirm brings the cached data about a question's image up to date with containerd. It does not wait: when that is
// done, [policy.Image].Confirmed is true for that question until an event affects the image. Another question about the
// same image, such as one with a name that was pulled just now, is confirmed separately.
//
// All events that containerd published before the call are processed, see [checkpoint], and the names that the question
// is about are looked up. So the cost does not depend on the number of images on the node.
func (c *Containerd) Confirm(q policy.Question) {
	if found := c.images.lookup(q); !found.known || !found.followed || found.confirmed {
		// There is no cached data to compare: Image lists the image store itself, or does not need to.
		return
	}
	if !c.relists.beginConfirming(q) {
		return
	}
	point := c.checkpoints.join(c, namesAbout(q))
	started := c.start(func(ctx context.Context) {
		defer c.relists.endConfirming(q)
		c.confirm(ctx, q, point)
	})
	if !started {
		c.relists.endConfirming(q)
	}
}

// confirm waits for a checkpoint, and until what the names of the question lead to has been read.
func (c *Containerd) confirm(ctx context.Context, q policy.Question, point *checkpoint) {
	select {
	case <-point.done:
	case <-ctx.Done():
		return
	}
	if !point.reached {
		return
	}
	if err := c.images.await(ctx, c.images.targetsOf(namesAbout(q))); err == nil {
		c.images.confirm(q, point.change)
	}
}

// namesAbout returns the image-store names that a question is about: the pod's own reference, as the CRI plugin stores
// it, and the config, under which it stores each image too.
func namesAbout(q policy.Question) []string {
	names := []string{q.Config.String()}
	if _, isID := q.ImageID(); isID {
		return names
	}
	named, err := policy.Normalize(q.Reference)
	if err != nil {
		return names
	}
	names = append(names, named.String())
	if canonical, ok := named.(reference.Canonical); ok {
		names = append(names, named.Name()+"@"+canonical.Digest().String())
	}
	return names
}

// targetsOf returns the targets of those names that exist.
func (m *imageCache) targetsOf(names []string) []digest.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	var targets []digest.Digest
	for _, stored := range names {
		if named, ok := m.names[stored]; ok {
			targets = append(targets, named.target)
		}
	}
	return targets
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
