package origin

import (
	"context"
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/opencontainers/go-digest"
)

// What is kept of the bytes of manifests and indexes. A thousand images have some 12 MiB of them. One that is larger
// than maxKept is read when it is needed, so that a tenant's cannot push out everybody's.
const (
	maxKeptBytes = 32 << 20
	maxKept      = 512 << 10
)

// blobs keeps bytes of manifests and indexes, the least recently used are dropped.
type blobs struct {
	mu    sync.Mutex
	bound int
	size  int
	kept  *simplelru.LRU[digest.Digest, []byte]
}

func newBlobs(bound int) *blobs {
	b := &blobs{bound: bound}
	b.kept, _ = simplelru.NewLRU(math.MaxInt, func(_ digest.Digest, raw []byte) { b.size -= len(raw) })
	return b
}

func (b *blobs) get(d digest.Digest) ([]byte, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.kept.Get(d)
}

func (b *blobs) add(d digest.Digest, raw []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(raw) > maxKept || b.kept.Contains(d) {
		return
	}
	b.kept.Add(d, raw)
	b.size += len(raw)
	for b.size > b.bound {
		b.kept.RemoveOldest()
	}
}

// document returns the bytes of a manifest or index.
func (c *Containerd) document(ctx context.Context, d digest.Digest) ([]byte, error) {
	if raw, ok := c.bytes.get(d); ok {
		return raw, nil
	}
	raw, err := c.readBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	c.bytes.add(d, raw)
	return raw, nil
}
