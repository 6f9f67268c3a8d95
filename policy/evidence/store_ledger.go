package evidence

import (
	"container/heap"
	"container/list"
)

// ledger knows the size of everything in a volume, and chooses what to evict when it is full. It counts each registry
// apart, so that none can evict what others need: room is made in the registry that takes the most. No operation costs
// more the more there is, but for the logarithm of the number of registries.
type ledger struct {
	total   int64
	items   map[key]*item
	shelves map[string]*shelf
	// unused and used have the parts of all shelves that are not empty.
	unused, used partHeap
}

// shelf is what one registry takes.
type shelf struct{ unused, used *part }

// part is what a registry takes of used or unused evidence, the least recently used first.
type part struct {
	host  string
	items *list.List
	size  int64
	// place is where the part is in its heap; -1: it is empty.
	place int
}

type item struct {
	key     key
	size    int64
	used    bool
	element *list.Element
}

func newLedger() *ledger {
	return &ledger{items: map[key]*item{}, shelves: map[string]*shelf{}}
}

func newPart(host string) *part { return &part{host: host, items: list.New(), place: -1} }

// partOf returns the part of a key's registry, and the heap that it belongs into.
func (l *ledger) partOf(k key, used bool) (*part, *partHeap) {
	s, ok := l.shelves[k.host()]
	if !ok {
		s = &shelf{unused: newPart(k.host()), used: newPart(k.host())}
		l.shelves[k.host()] = s
	}
	if used {
		return s.used, &l.used
	}
	return s.unused, &l.unused
}

// enter enters a key that is not known yet, by its record. What was imported counts as used by a decision: it may be
// that nobody can fetch it again.
func (l *ledger) enter(k key, r *record) {
	if _, ok := l.items[k]; !ok {
		l.insert(&item{key: k, size: r.blocks()})
	}
	if !r.Imported.IsZero() {
		l.use(k)
	}
}

// set enters a key, or its new size, as the most recently used. Once used by a decision, it stays so.
func (l *ledger) set(k key, size int64, used bool) {
	if old, ok := l.items[k]; ok {
		used = used || old.used
		l.remove(k)
	}
	l.insert(&item{key: k, size: size, used: used})
}

// use notes that a decision used a key.
func (l *ledger) use(k key) {
	i, ok := l.items[k]
	if !ok {
		return
	}
	if i.used {
		p, _ := l.partOf(k, true)
		p.items.MoveToBack(i.element)
		return
	}
	l.remove(k)
	l.insert(&item{key: k, size: i.size, used: true})
}

func (l *ledger) insert(i *item) {
	p, all := l.partOf(i.key, i.used)
	i.element = p.items.PushBack(i)
	p.size += i.size
	all.update(p)
	l.items[i.key] = i
	l.total += i.size
}

func (l *ledger) remove(k key) {
	i, ok := l.items[k]
	if !ok {
		return
	}
	p, all := l.partOf(k, i.used)
	p.items.Remove(i.element)
	p.size -= i.size
	all.update(p)
	delete(l.items, k)
	l.total -= i.size
	if s := l.shelves[k.host()]; s.used.items.Len()+s.unused.items.Len() == 0 {
		delete(l.shelves, k.host())
	}
}

// victims removes from the ledger what must be evicted for size bytes more of key k to stay within limit, and reports
// whether they do then. What k itself takes already is not counted twice, and is no victim.
func (l *ledger) victims(k key, size, limit int64, decides bool) (evicted []key, ok bool) {
	own := int64(0)
	if i, ok := l.items[k]; ok {
		own = i.size
	}
	if size > limit {
		return nil, false
	}
	for l.total-own+size > limit {
		victim := l.victim(k, size, decides)
		if victim == nil {
			return evicted, false
		}
		l.remove(victim.key)
		evicted = append(evicted, victim.key)
	}
	return evicted, true
}

// victim returns the least recently used item of the registry that takes the most, and of what no decision has used
// where there is any.
func (l *ledger) victim(k key, size int64, decides bool) *item {
	if i := l.largest(k, size, false); i != nil {
		return i
	}
	if !decides {
		return nil
	}
	return l.largest(k, size, true)
}

// largest returns the first item, other than k, of the registry whose part is largest, where k's part has grown by
// size already: of two that take the same, the one that wants more is evicted from.
func (l *ledger) largest(k key, size int64, used bool) *item {
	parts := l.unused
	if used {
		parts = l.used
	}
	other := parts.largestBut(k.host())
	if s, ok := l.shelves[k.host()]; ok {
		own := s.unused
		if used {
			own = s.used
		}
		if i := firstBut(own.items, k); i != nil && (other == nil || own.size+size >= other.size) {
			return i
		}
	}
	if other == nil {
		return nil
	}
	return firstBut(other.items, k)
}

func firstBut(items *list.List, k key) *item {
	for e := items.Front(); e != nil; e = e.Next() {
		if i, ok := e.Value.(*item); ok && i.key != k {
			return i
		}
	}
	return nil
}

// partHeap has the largest part first.
type partHeap []*part

// update puts a part where its new size belongs, or takes an empty one out.
func (h *partHeap) update(p *part) {
	switch {
	case p.items.Len() == 0:
		heap.Remove(h, p.place)
	case p.place < 0:
		heap.Push(h, p)
	default:
		heap.Fix(h, p.place)
	}
}

// largestBut returns the largest part of another registry, or nil.
func (h partHeap) largestBut(host string) *part {
	var found *part
	// If the first is of that registry, the second largest is one of the two below it.
	for _, p := range h[:min(3, len(h))] {
		if p.host != host && (found == nil || p.size > found.size) {
			found = p
		}
	}
	return found
}

// Len implements [heap.Interface].
func (h partHeap) Len() int { return len(h) }

// Less implements [heap.Interface].
func (h partHeap) Less(i, j int) bool { return h[i].size > h[j].size }

// Swap implements [heap.Interface].
func (h partHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements [heap.Interface].
func (h *partHeap) Push(x any) {
	if p, ok := x.(*part); ok {
		p.place = len(*h)
		*h = append(*h, p)
	}
}

// Pop implements [heap.Interface].
func (h *partHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	p.place = -1
	(*h)[last] = nil
	*h = (*h)[:last]
	return p
}
