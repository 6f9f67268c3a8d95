package origin

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/distribution/reference"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// imageCache mirrors containerd's image names and caches what was read of their targets. It does no input or output.
//
// A name refers to a root, its target. A root leads to nodes: the manifests and indexes that were read. Nodes never
// change, because a digest identifies its bytes; they stay in the cache while a name leads to them. In the other
// direction a config digest leads to its manifests, these to the indexes that list them, and all of them to names. A
// question is answered in this direction, so that its cost depends on the size of the answer.
//
// All methods lock mu, except those called locked….
type imageCache struct {
	mu sync.Mutex
	// followed reports whether events keep names up to date. Each loss of the event stream begins another epoch, from
	// 1.
	followed bool
	epoch    uint64

	names   map[string]name
	roots   map[digest.Digest]*root
	nodes   map[digest.Digest]*node
	parents index[digest.Digest]
	images  map[digest.Digest]*image
	chains  index[string]
	// repositories are the names by repository.
	repositories repositories
	// pending are the unprocessed events by the repository of their name, or by the name if it is not a reference.
	// arrived counts all events.
	pending map[string]pendingEvents
	arrived uint64

	// changes counts the changes to the cache. confirmed is, per question, the last change up to which the answer was
	// compared with containerd: it is confirmed until a later change affects the image.
	changes   uint64
	confirmed *simplelru.LRU[policy.Question, uint64]
	// unread and failures count roots: decisions wait for this lock, so none of its holders counts them.
	unread, failures int
	// absent is the number of cached hashes of absent children of large indexes.
	absent int
	// failing receives a value when a read failed that should be retried.
	failing chan struct{}
	// news are the names that [Containerd.News] has not returned yet.
	news map[string]struct{}
	// touched are the names of events that arrived during a list: the list may be older.
	touched map[string]struct{}

	generation atomic.Uint64
	// following is followed, for readers that do not lock.
	following atomic.Bool
	// changed is closed and replaced when a root was read or names were listed.
	changed chan struct{}
}

// name is an image-store name.
type name struct {
	target digest.Digest
	// reference is nil if the name is not a reference.
	reference reference.Named
	// updated is when containerd last updated it.
	updated time.Time
}

// root is the target of one name or more.
type root struct {
	names map[string]struct{}
	state rootState
	// stale reports that it must be read again after the read in progress.
	stale bool
	// reads counts how often it was read.
	reads uint64
	// change is the change that caused the read: it affects all images that the read affects.
	change uint64
	// failure is why it was not read in full, and retry when to read it again.
	failure string
	retry   retryPolicy
}

type rootState uint8

const (
	unread rootState = iota
	reading
	settled
)

// retryPolicy is when to read something again after a failure.
type retryPolicy uint8

const (
	// retryOnEvent: only after an event about it.
	retryOnEvent retryPolicy = iota
	// retryOnRelist: also after a relist, and when a question about it is confirmed.
	retryOnRelist
	// retryWithBackoff: also after a delay, because containerd failed.
	retryWithBackoff
)

// node is a manifest or an index.
type node struct {
	mediaType string
	size      int
	config    digest.Digest
	// isLarge reports whether an index has more than maxSmallIndex children, together with what was listed before it by
	// the target that it was first read for.
	isLarge bool
	// children are those of an index; of a large index only those whose blob is present.
	children []digest.Digest
	// absent are hashes of the other children of a large index, if complete.
	absent   []uint64
	complete bool
	listed   int
	// defect is why its contents cannot be used. It never changes.
	defect string
}

// maxSmallIndex is how many children of a target's indexes are cached although they are absent. It is far above the
// size of a multi-platform image, and bounds the memory that a target with ten thousand of them uses.
const maxSmallIndex = 256

// maxAbsent limits the cached hashes of absent children. Large indexes beyond it are read at each event.
const maxAbsent = 2 << 20

// image is the cached data about a config digest. It has at least one manifest.
type image struct {
	manifests  digests
	chainID    string
	hasChainID bool
	change     uint64
	// view is made on demand; viewed reports whether that was done since the last change. It is nil if there are too
	// many manifests or names.
	view   *view
	viewed bool
}

// maxConfirmed limits the confirmed questions that are cached. Others have to be confirmed again.
const maxConfirmed = 4096

func newImageCache() *imageCache {
	confirmed, _ := simplelru.NewLRU[policy.Question, uint64](maxConfirmed, nil)
	return &imageCache{
		confirmed:    confirmed,
		failing:      make(chan struct{}, 1),
		names:        map[string]name{},
		roots:        map[digest.Digest]*root{},
		nodes:        map[digest.Digest]*node{},
		parents:      index[digest.Digest]{},
		images:       map[digest.Digest]*image{},
		chains:       index[string]{},
		repositories: repositories{},
		pending:      map[string]pendingEvents{},
		news:         map[string]struct{}{},
		changed:      make(chan struct{}),
		epoch:        1,
	}
}

// lockedNotify wakes waiting goroutines, and invalidates cached answers.
func (m *imageCache) lockedNotify() {
	m.generation.Add(1)
	m.lockedWake()
}

// lockedWake wakes goroutines that wait for a change.
func (m *imageCache) lockedWake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *imageCache) state() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return State{
		Following: m.followed, Names: len(m.names), Images: len(m.images), Unread: m.unread, Unreadable: m.failures,
	}
}

// lockedFail records why a root was not read in full, "" if it was.
func (m *imageCache) lockedFail(r *root, failure string, retry retryPolicy) {
	if r.failure != "" {
		m.failures--
	}
	if failure != "" {
		m.failures++
	}
	r.failure, r.retry = failure, retry
}

// chainID returns the chain ID of a cached config.
func (m *imageCache) chainID(config digest.Digest) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.images[config]; i != nil {
		return i.chainID, i.hasChainID
	}
	return "", false
}

// disconnected records that events were lost: the cache is not used until it is complete again.
func (m *imageCache) disconnected() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.followed = false
	clear(m.pending)
	m.following.Store(false)
	m.epoch++
	m.changes++
	m.lockedNotify()
}
