package origin

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/lru"
)

// Limits of the cache of manifests and indexes, in bytes. A thousand images have about 12 MiB of them. A larger one
// than maxCachedBlob is not cached, so that one tenant's cannot evict those of the others.
const (
	maxCachedBytes = 32 << 20
	maxCachedBlob  = 512 << 10
	maxCachedBlobs = 1 << 20
)

// newBlobCache returns a cache of the bytes of manifests and indexes.
func newBlobCache() *lru.Cache[digest.Digest, []byte] {
	return lru.New[digest.Digest, []byte](lru.Bounds{
		Entries: maxCachedBlobs, Weight: maxCachedBytes, EntryWeight: maxCachedBlob,
	})
}

// document returns the bytes of a manifest or index. The pacer may be nil.
func (c *Containerd) document(ctx context.Context, d digest.Digest, pacer *policy.Pacer) ([]byte, error) {
	if raw, ok := c.blobs.Get(d); ok {
		return raw, nil
	}
	raw, err := c.readBlob(ctx, d, pacer)
	if err != nil {
		return nil, err
	}
	c.blobs.Add(d, raw, len(raw))
	return raw, nil
}
