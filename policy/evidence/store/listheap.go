package store

import "container/heap"

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
