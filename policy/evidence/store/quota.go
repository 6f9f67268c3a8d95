package store

import (
	"container/heap"
	"container/list"
)

// quota knows the size of everything in a volume, and chooses what to evict when the volume is full. It counts each
// registry separately, so that none can evict what others need: room is made in the registry that takes the most. The
// cost of an operation grows only with the logarithm of the number of registries.
type quota struct {
	total int64
	items map[Key]*item
	hosts map[string]*host
	// largest has the lists of all hosts that are not empty, by rank.
	largest [ranks]listHeap
}

// rank is how much evidence is worth keeping: what has a lower rank is evicted first.
type rank int

const (
	// unused is evidence that no decision has used.
	unused rank = iota
	// used is evidence that a decision has used.
	used
	ranks
)

// host is what one registry takes, by rank.
type host [ranks]*itemList

// itemList are the items of one registry and rank, the least recently used first.
type itemList struct {
	host  string
	items *list.List
	size  int64
	// index is the list's position in its heap; -1: it is empty.
	index int
}

type item struct {
	key     Key
	size    int64
	rank    rank
	element *list.Element
}

func newQuota() *quota { return &quota{items: map[Key]*item{}, hosts: map[string]*host{}} }

// list returns the list of a key's registry.
func (q *quota) list(k Key, of rank) *itemList {
	h, ok := q.hosts[k.Host()]
	if !ok {
		h = &host{}
		for i := range h {
			h[i] = &itemList{host: k.Host(), items: list.New(), index: -1}
		}
		q.hosts[k.Host()] = h
	}
	return h[of]
}

// enter enters a key that is not known yet, by its record. Imported evidence counts as used by a decision, because
// nobody may be able to fetch it again.
func (q *quota) enter(k Key, r *record) {
	if _, ok := q.items[k]; !ok {
		q.insert(&item{key: k, size: r.blocks()})
	}
	if !r.Imported.IsZero() {
		q.use(k)
	}
}

// set enters a key, or its new size, as the most recently used. Its rank never falls.
func (q *quota) set(k Key, size int64, of rank) {
	if old, ok := q.items[k]; ok {
		of = max(of, old.rank)
		q.remove(k)
	}
	q.insert(&item{key: k, size: size, rank: of})
}

// use notes that a decision used a key.
func (q *quota) use(k Key) {
	i, ok := q.items[k]
	switch {
	case !ok:
	case i.rank >= used:
		q.list(k, i.rank).items.MoveToBack(i.element)
	default:
		q.set(k, i.size, used)
	}
}

func (q *quota) insert(i *item) {
	l := q.list(i.key, i.rank)
	i.element = l.items.PushBack(i)
	l.size += i.size
	q.largest[i.rank].update(l)
	q.items[i.key] = i
	q.total += i.size
}

func (q *quota) remove(k Key) {
	i, ok := q.items[k]
	if !ok {
		return
	}
	l := q.list(k, i.rank)
	l.items.Remove(i.element)
	l.size -= i.size
	q.largest[i.rank].update(l)
	delete(q.items, k)
	q.total -= i.size
	for _, l := range q.hosts[k.Host()] {
		if l.items.Len() > 0 {
			return
		}
	}
	delete(q.hosts, k.Host())
}

// evict removes from the quota what must be evicted for size bytes more of key k to stay within limit, and reports
// whether they do then. What k itself takes already is not counted twice, and is not evicted. Evidence of a higher rank
// than of is not evicted either.
func (q *quota) evict(k Key, size, limit int64, of rank) (evicted []Key, ok bool) {
	own := int64(0)
	if i, ok := q.items[k]; ok {
		own = i.size
	}
	if size > limit {
		return nil, false
	}
	for q.total-own+size > limit {
		victim := q.victim(k, size, of)
		if victim == nil {
			return evicted, false
		}
		q.remove(victim.key)
		evicted = append(evicted, victim.key)
	}
	return evicted, true
}

// victim returns the least recently used item of the registry that takes the most, of the lowest rank that there is.
func (q *quota) victim(k Key, size int64, of rank) *item {
	for lowest := unused; lowest <= of; lowest++ {
		if i := q.victimOf(k, size, lowest); i != nil {
			return i
		}
	}
	return nil
}

// victimOf returns the first item, other than k, of the registry whose list is largest, where k's list has grown by
// size already: of two that take the same, the one that needs more is evicted from.
func (q *quota) victimOf(k Key, size int64, of rank) *item {
	other := q.largest[of].largestBut(k.Host())
	if h, ok := q.hosts[k.Host()]; ok {
		own := h[of]
		if i := firstBut(own.items, k); i != nil && (other == nil || own.size+size >= other.size) {
			return i
		}
	}
	if other == nil {
		return nil
	}
	return firstBut(other.items, k)
}

func firstBut(items *list.List, k Key) *item {
	for e := items.Front(); e != nil; e = e.Next() {
		if i, ok := e.Value.(*item); ok && i.key != k {
			return i
		}
	}
	return nil
}

// listHeap has the largest list first.
type listHeap []*itemList

// update moves a list to where its new size belongs, or removes an empty one.
func (h *listHeap) update(l *itemList) {
	switch {
	case l.items.Len() == 0:
		heap.Remove(h, l.index)
	case l.index < 0:
		heap.Push(h, l)
	default:
		heap.Fix(h, l.index)
	}
}

// largestBut returns the largest list of another registry, or nil.
func (h listHeap) largestBut(host string) *itemList {
	var found *itemList
	// If the first is of that registry, the second largest is one of the two below it.
	for _, l := range h[:min(3, len(h))] {
		if l.host != host && (found == nil || l.size > found.size) {
			found = l
		}
	}
	return found
}

// Len implements [heap.Interface].
func (h listHeap) Len() int { return len(h) }

// Less implements [heap.Interface].
func (h listHeap) Less(i, j int) bool { return h[i].size > h[j].size }

// Swap implements [heap.Interface].
func (h listHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements [heap.Interface].
func (h *listHeap) Push(x any) {
	if l, ok := x.(*itemList); ok {
		l.index = len(*h)
		*h = append(*h, l)
	}
}

// Pop implements [heap.Interface].
func (h *listHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	l.index = -1
	(*h)[last] = nil
	*h = (*h)[:last]
	return l
}
