package store

import "container/list"

// quota knows the size of everything in a volume, and chooses what to evict when the volume is full. It counts each
// registry separately, so that none can evict what others need: room is made in the registry that takes the most. The
// cost of an operation grows only with the logarithm of the number of registries.
type quota struct {
	total int64
	items map[Key]*item
	hosts map[string]*host
	// largest has the non-empty lists of all hosts, by rank.
	largest [ranks]listHeap
}

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
	usage   usage
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

// enter enters a key that is not known yet, by its record.
func (q *quota) enter(k Key, r *record) {
	if _, ok := q.items[k]; !ok {
		q.insert(&item{key: k, usage: usageOf(r, false)})
	}
}

// set enters a key, or what it takes now, as the most recently used. Once used by a decision, it stays so.
func (q *quota) set(k Key, u usage) {
	if old, ok := q.items[k]; ok {
		u.used = u.used || old.usage.used
		q.remove(k)
	}
	q.insert(&item{key: k, usage: u})
}

// use records that a decision used a key.
func (q *quota) use(k Key) {
	i, ok := q.items[k]
	switch {
	case !ok:
	case i.usage.used:
		q.list(k, i.usage.rank()).items.MoveToBack(i.element)
	default:
		u := i.usage
		u.used = true
		q.set(k, u)
	}
}

func (q *quota) insert(i *item) {
	l := q.list(i.key, i.usage.rank())
	i.element = l.items.PushBack(i)
	l.size += i.usage.size
	q.largest[i.usage.rank()].update(l)
	q.items[i.key] = i
	q.total += i.usage.size
}

func (q *quota) remove(k Key) {
	i, ok := q.items[k]
	if !ok {
		return
	}
	l := q.list(k, i.usage.rank())
	l.items.Remove(i.element)
	l.size -= i.usage.size
	q.largest[i.usage.rank()].update(l)
	delete(q.items, k)
	q.total -= i.usage.size
	for _, l := range q.hosts[k.Host()] {
		if l.items.Len() > 0 {
			return
		}
	}
	delete(q.hosts, k.Host())
}

// victim is evidence to be evicted, or if reduced is set to be reduced to what met a requirement.
type victim struct {
	key     Key
	reduced bool
}

// evict removes from the quota what must be evicted for key k to take size bytes within limit, and reports whether that
// suffices. What k takes already is not counted twice, and is not evicted. Evidence that decisions have used is evicted
// only for evidence that is needed.
func (q *quota) evict(k Key, size, limit int64, needed bool) (victims []victim, ok bool) {
	own := int64(0)
	if i, ok := q.items[k]; ok {
		own = i.usage.size
	}
	if size > limit {
		return nil, false
	}
	for q.total-own+size > limit {
		i := q.victim(k, size, needed)
		if i == nil {
			return victims, false
		}
		q.remove(i.key)
		reduced := i.usage.satisfied > 0
		if reduced {
			q.insert(&item{key: i.key, usage: usage{size: i.usage.satisfied, satisfied: i.usage.satisfied, used: i.usage.used}})
		}
		victims = append(victims, victim{i.key, reduced})
	}
	return victims, true
}

// victim returns the least recently used item of the registry that takes the most, of the lowest rank that there is.
func (q *quota) victim(k Key, size int64, needed bool) *item {
	highest := reducible
	if needed {
		highest = used
	}
	for lowest := unused; lowest <= highest; lowest++ {
		if i := q.victimOf(k, size, lowest); i != nil {
			return i
		}
	}
	return nil
}

// victimOf returns the least recently used item, other than k, of the registry that uses most space, if size is added
// to k's registry. If two use the same space, it is k's registry.
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
