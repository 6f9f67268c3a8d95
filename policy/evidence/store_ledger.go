package evidence

import "container/list"

// ledger knows the size of everything in a volume, and chooses what has to go when it is full. It keeps the books of
// each registry apart, so that none can push out what others need: room is made on the shelf that takes the most.
type ledger struct {
	total   int64
	items   map[key]*item
	shelves map[string]*shelf
}

// shelf is what one registry takes. Both lists have the least recently used first.
type shelf struct {
	unused, used         *list.List
	unusedSize, usedSize int64
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

func (l *ledger) shelf(k key) *shelf {
	s, ok := l.shelves[k.host()]
	if !ok {
		s = &shelf{unused: list.New(), used: list.New()}
		l.shelves[k.host()] = s
	}
	return s
}

// add enters a key that is not known yet; it does not touch one that is.
func (l *ledger) add(k key, size int64) {
	if _, ok := l.items[k]; !ok {
		l.insert(&item{key: k, size: size})
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
		l.shelf(k).used.MoveToBack(i.element)
		return
	}
	l.remove(k)
	l.insert(&item{key: k, size: i.size, used: true})
}

func (l *ledger) insert(i *item) {
	s := l.shelf(i.key)
	if i.used {
		i.element = s.used.PushBack(i)
		s.usedSize += i.size
	} else {
		i.element = s.unused.PushBack(i)
		s.unusedSize += i.size
	}
	l.items[i.key] = i
	l.total += i.size
}

func (l *ledger) remove(k key) {
	i, ok := l.items[k]
	if !ok {
		return
	}
	s := l.shelf(k)
	if i.used {
		s.used.Remove(i.element)
		s.usedSize -= i.size
	} else {
		s.unused.Remove(i.element)
		s.unusedSize -= i.size
	}
	delete(l.items, k)
	l.total -= i.size
	if s.used.Len()+s.unused.Len() == 0 {
		delete(l.shelves, k.host())
	}
}

// victims takes out of the books what must go for size bytes more of key k to stay within limit, and reports whether
// they do then. What k itself takes already is not counted twice, and is no victim.
func (l *ledger) victims(k key, size, limit int64, decides bool) (gone []key, ok bool) {
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
			return gone, false
		}
		l.remove(victim.key)
		gone = append(gone, victim.key)
	}
	return gone, true
}

// victim returns the least recently used item of the registry that takes the most, and of what no decision has used
// where there is any.
func (l *ledger) victim(k key, size int64, decides bool) *item {
	if i := l.largest(k, size, func(s *shelf) (*list.List, int64) { return s.unused, s.unusedSize }); i != nil {
		return i
	}
	if !decides {
		return nil
	}
	return l.largest(k, size, func(s *shelf) (*list.List, int64) { return s.used, s.usedSize })
}

// largest returns the first item, other than k, of the registry whose part is largest, where k's part has grown by
// size already: of two that take the same, the one that wants more gives way.
func (l *ledger) largest(k key, size int64, part func(*shelf) (*list.List, int64)) *item {
	var found *item
	most := int64(-1)
	for host, s := range l.shelves {
		items, taken := part(s)
		if host == k.host() {
			taken += size
		}
		if taken <= most {
			continue
		}
		if i := firstBut(items, k); i != nil {
			found, most = i, taken
		}
	}
	return found
}

func firstBut(items *list.List, k key) *item {
	for e := items.Front(); e != nil; e = e.Next() {
		if i, ok := e.Value.(*item); ok && i.key != k {
			return i
		}
	}
	return nil
}
