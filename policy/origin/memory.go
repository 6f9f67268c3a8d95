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

// memory mirrors containerd's image names and what was read of their targets. It does no input or output.
//
// Names lead to roots, which are their targets. From a root one gets to nodes, the manifests and indexes that were
// read, which hold for ever since a digest stands for its bytes; they are kept while a name leads to them. From the
// other end, a config digest leads to its manifests, these to the indexes that list them, and all of them to names:
// that is how a question is answered, at the cost of the answer's size.
//
// All methods lock mu but those called locked….
type memory struct {
	mu sync.Mutex
	// followed says that events keep names up to date. Each loss of the event stream begins another epoch, from 1.
	followed bool
	epoch    uint64

	names   map[string]name
	roots   map[digest.Digest]*root
	nodes   map[digest.Digest]*node
	parents index[digest.Digest]
	images  map[digest.Digest]*image
	chains  index[string]
	// repositories has the names of each repository.
	repositories repositories
	// announced are the events that have arrived and have not been evaluated, by the repository of the name that they
	// are about, or by the name if it is no reference. arrived counts all that have arrived.
	announced map[string]announcement
	arrived   uint64

	// changes counts what was heard of, and confirmed says for questions up to which change the answer was compared
	// with containerd: it is confirmed while the image was not concerned by a later one.
	changes   uint64
	confirmed *simplelru.LRU[policy.Question, uint64]
	unread    int
	// failing is told when containerd failed to give something that should be asked for again.
	failing chan struct{}
	// news are the names of which nobody has been told yet, see [Containerd.News].
	news map[string]struct{}
	// heard are the names that events were about while names were being listed: the list may be older.
	heard map[string]struct{}

	generation atomic.Uint64
	// following is followed, for those who do not lock.
	following atomic.Bool
	// changed is closed and replaced when a root was read or names were listed.
	changed chan struct{}
}

// name is an image-store name.
type name struct {
	target digest.Digest
	// reference is nil for a name that is no reference.
	reference reference.Named
	// updated is when containerd last set it.
	updated time.Time
}

// root is the target of one name or more.
type root struct {
	names map[string]struct{}
	state rootState
	// stale says that it must be read again although it is being read.
	stale bool
	// reads counts how often it was read.
	reads uint64
	// change is the change that had it read: those images that reading it concerns are concerned by that change.
	change uint64
	// failure is why it was not read, or not all of it; then again says whether to try again.
	failure string
	again   again
}

type rootState uint8

const (
	unread rootState = iota
	reading
	settled
)

// again says when something that could not be read is tried again.
type again uint8

const (
	// onEvent: only when an event is about it.
	onEvent again = iota
	// onLook: also when names are listed again, which every confirmation does.
	onLook
	// soon: also after a while, for containerd failed.
	soon
)

// node is a manifest or an index.
type node struct {
	mediaType string
	size      int
	config    digest.Digest
	// children are what an index lists; of a wide one only those that are here.
	children []digest.Digest
	listed   int
	// defect is why its bytes are of no use, which will never change.
	defect string
}

// maxNarrow is how many children are remembered that are not here. It is far above what a multi-platform image lists,
// and keeps an index of ten thousand from filling memory.
const maxNarrow = 256

func (n *node) wide() bool { return n.listed > maxNarrow }

// image is what is known of a config digest. It has at least one manifest.
type image struct {
	manifests digests
	chain     string
	chained   bool
	change    uint64
	// view is its answer, made when first asked for; viewed says that this was done since the last change. It is nil if
	// there is too much for it.
	view   *view
	viewed bool
}

// maxConfirmed is how many questions are known to be confirmed; beyond that they are confirmed anew.
const maxConfirmed = 4096

func newMemory() *memory {
	confirmed, _ := simplelru.NewLRU[policy.Question, uint64](maxConfirmed, nil)
	return &memory{
		confirmed:    confirmed,
		failing:      make(chan struct{}, 1),
		names:        map[string]name{},
		roots:        map[digest.Digest]*root{},
		nodes:        map[digest.Digest]*node{},
		parents:      index[digest.Digest]{},
		images:       map[digest.Digest]*image{},
		chains:       index[string]{},
		repositories: repositories{},
		announced:    map[string]announcement{},
		news:         map[string]struct{}{},
		changed:      make(chan struct{}),
		epoch:        1,
	}
}

// lockedNotify tells those who wait that something changed, and those who keep answers.
func (m *memory) lockedNotify() {
	m.generation.Add(1)
	m.lockedWake()
}

// lockedWake tells those who wait that something changed.
func (m *memory) lockedWake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) state() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := State{Following: m.followed, Names: len(m.names), Images: len(m.images), Unread: m.unread}
	for _, r := range m.roots {
		if r.failure != "" {
			state.Unreadable++
		}
	}
	return state
}

// chain returns the chain ID of a config that is known.
func (m *memory) chain(config digest.Digest) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.images[config]; i != nil {
		return i.chain, i.chained
	}
	return "", false
}

// lose notes that events were lost: from now on nothing is answered from memory.
func (m *memory) lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.followed = false
	clear(m.announced)
	m.following.Store(false)
	m.epoch++
	m.changes++
	m.lockedNotify()
}
