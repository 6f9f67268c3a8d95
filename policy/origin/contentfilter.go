package origin

import (
	"context"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// createdTopic is the topic of the events about blobs that have come into the content store.
const createdTopic = "/content/create"

// contentFilter tells of which blobs it is certain that they are not in containerd's content store, without a call. An
// index may list ten thousand manifests of other platforms that are not there, and anybody can have it pulled again and
// again.
//
// It is a Bloom filter, so its size does not depend on what tenants have pulled. It is filled with what is present
// when events begin to be received, and then by the events. What leaves the content store stays in it:
// that costs a call.
type contentFilter struct {
	seed maphash.Seed

	mu sync.RWMutex
	// stream counts the event streams that were received, and complete reports whether all blobs are in the filter since
	// the present one began. Otherwise nothing is certain.
	stream   uint64
	complete bool
	bits     []uint64
}

// With a million blobs, one in forty that are absent is asked for.
const (
	filterBits   = 1 << 23
	filterHashes = 4
)

func newContentFilter() contentFilter {
	return contentFilter{seed: maphash.MakeSeed(), bits: make([]uint64, filterBits/64)}
}

func (f *contentFilter) hash(blob digest.Digest) uint64 { return maphash.String(f.seed, string(blob)) }

// begin empties the filter, because another event stream begins to be received, or has ended.
func (f *contentFilter) begin() (stream uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stream++
	f.complete = false
	clear(f.bits)
	return f.stream
}

func (f *contentFilter) add(blob digest.Digest) {
	hash := f.hash(blob)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range uint64(filterHashes) {
		bit := position(hash, i)
		f.bits[bit/64] |= 1 << (bit % 64)
	}
}

// position returns the i-th bit of a hash.
func position(hash, i uint64) uint64 { return (hash + i*(hash>>32|1)) % filterBits }

// filled records that all blobs are in the filter that were there when the stream began.
func (f *contentFilter) filled(stream uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.complete = f.stream == stream
}

// mayBePresent reports whether a blob may be in the content store.
func (f *contentFilter) mayBePresent(hash uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.lockedMayBePresent(hash)
}

func (f *contentFilter) lockedMayBePresent(hash uint64) bool {
	if !f.complete {
		return true
	}
	for i := range uint64(filterHashes) {
		bit := position(hash, i)
		if f.bits[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}

// anyMayBePresent reports whether one of the blobs with these hashes may be in the content store.
func (f *contentFilter) anyMayBePresent(hashes []uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return slices.ContainsFunc(hashes, f.lockedMayBePresent)
}

// fillFilter fills the filter with what is in the content store now. If that fails, containerd is asked for each blob.
func (c *Containerd) fillFilter(ctx context.Context, stream uint64) {
	pacer := &policy.Pacer{}
	err := c.client.ContentStore().Walk(ctx, func(info content.Info) error {
		pacer.Pause(ctx)
		c.filter.add(info.Digest)
		return ctx.Err()
	})
	if err != nil {
		if ctx.Err() == nil {
			c.log.WarnContext(ctx, "containerd's content could not be listed: large indexes take longer to read", "error", err)
		}
		return
	}
	c.filter.filled(stream)
}
