package origin

import (
	"sync"

	eventtypes "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// preparedTopic is the topic of the events about snapshots that containerd prepared (containerd v2.2 to v2.4,
// core/metadata). It publishes one after it stored the snapshot, and not for views.
const preparedTopic = "/snapshot/prepare"

const (
	// maxPrepared is how many snapshots nobody asked about. A pull prepares one for each layer.
	maxPrepared = 4096
	// maxSnapshotKey is the length of the longest key in bytes. That of an image volume is a path.
	maxSnapshotKey = 1024
)

// preparedSnapshots are the active snapshots that containerd's events reported, by key, until somebody asks: most
// containers are then validated without a call to containerd, which slows down with the number of images. The parent of
// a snapshot never changes. Each is returned once, so that it cannot be taken for a later one with the same key.
type preparedSnapshots struct {
	mu    sync.Mutex
	byKey *simplelru.LRU[string, preparedSnapshot]
}

type preparedSnapshot struct{ snapshotter, parent string }

func newPreparedSnapshots() preparedSnapshots {
	byKey, err := simplelru.NewLRU[string, preparedSnapshot](maxPrepared, nil)
	if err != nil {
		panic(err) // Only a size below 1 is an error.
	}
	return preparedSnapshots{byKey: byKey}
}

// add adds the snapshot of an event.
func (p *preparedSnapshots) add(event *events.Envelope) {
	snapshot, ok := decoded(event).(*eventtypes.SnapshotPrepare)
	if !ok || len(snapshot.GetKey()) > maxSnapshotKey || len(snapshot.GetParent()) > maxSnapshotKey {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byKey.Add(snapshot.GetKey(), preparedSnapshot{snapshot.GetSnapshotter(), snapshot.GetParent()})
}

// take returns a snapshot, and removes it.
func (p *preparedSnapshots) take(key string) (snapshot preparedSnapshot, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if snapshot, ok = p.byKey.Peek(key); ok {
		p.byKey.Remove(key)
	}
	return snapshot, ok
}

// forget removes all: events were lost, and a snapshot may have been replaced.
func (p *preparedSnapshots) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.byKey.Purge()
}

// preparedParent returns the parent of an active snapshot if an event reported it. Without one, and for a snapshotter
// that may be remote, the caller has to ask containerd.
func (c *Containerd) preparedParent(key string) (parent string, ok bool) {
	snapshot, ok := c.prepared.take(key)
	if !ok || !c.stats.isLocal(snapshot.snapshotter) {
		return "", false
	}
	return snapshot.parent, true
}
