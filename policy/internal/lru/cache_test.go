package lru_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy/internal/lru"
)

// stored returns which of the keys 0 to 9 have a value, in order.
func stored(c *lru.Cache[int, string]) []int {
	var keys []int
	for key := range 10 {
		if _, ok := c.Get(key); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

func TestCacheKeepsItsBounds(t *testing.T) {
	bounds := lru.Bounds{Entries: 4, Weight: 10, EntryWeight: 6}
	tests := map[string]struct {
		use  func(c *lru.Cache[int, string])
		want []int
	}{
		"nothing is added": {func(*lru.Cache[int, string]) {}, nil},
		"entries fill the weight": {func(c *lru.Cache[int, string]) {
			c.Add(1, "a", 4)
			c.Add(2, "b", 6)
		}, []int{1, 2}},
		"the oldest makes room for weight": {func(c *lru.Cache[int, string]) {
			c.Add(1, "a", 4)
			c.Add(2, "b", 5)
			c.Add(3, "c", 2)
		}, []int{2, 3}},
		"what was used stays": {func(c *lru.Cache[int, string]) {
			c.Add(1, "a", 4)
			c.Add(2, "b", 5)
			c.Get(1)
			c.Add(3, "c", 2)
		}, []int{1, 3}},
		"several make room for a heavy one": {func(c *lru.Cache[int, string]) {
			for key := range 4 {
				c.Add(key, "a", 2)
			}
			c.Add(4, "b", 6)
		}, []int{2, 3, 4}},
		"the oldest makes room for one more": {func(c *lru.Cache[int, string]) {
			for key := range 6 {
				c.Add(key, "a", 0)
			}
		}, []int{2, 3, 4, 5}},
		"what is evicted by number weighs no more": {func(c *lru.Cache[int, string]) {
			for key := range 8 {
				c.Add(key, "a", 2)
			}
			c.Add(9, "b", 2)
		}, []int{5, 6, 7, 9}},
		"one is too heavy": {func(c *lru.Cache[int, string]) {
			c.Add(1, "a", 4)
			c.Add(2, "b", 7)
		}, []int{1}},
		"another value replaces the weight": {func(c *lru.Cache[int, string]) {
			for range 9 {
				c.Add(1, "a", 6)
			}
			c.Add(2, "b", 4)
		}, []int{1, 2}},
		"it is purged and used again": {func(c *lru.Cache[int, string]) {
			c.Add(1, "a", 6)
			c.Purge()
			c.Add(2, "b", 6)
			c.Add(3, "c", 4)
		}, []int{2, 3}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := lru.New[int, string](bounds)
			test.use(c)
			if difference := cmp.Diff(test.want, stored(c)); difference != "" {
				t.Errorf("stored keys (-want +got):\n%s", difference)
			}
		})
	}
}

func TestAddReplacesTheValue(t *testing.T) {
	c := lru.New[int, string](lru.Bounds{Entries: 1, Weight: 1, EntryWeight: 1})
	c.Add(1, "old", 1)
	c.Add(1, "new", 1)
	if value, ok := c.Get(1); value != "new" || !ok {
		t.Errorf("got %q, %v", value, ok)
	}
}

func TestNewRejectsBoundsThatAreNotPositive(t *testing.T) {
	for _, bounds := range []lru.Bounds{{}, {Entries: 1, Weight: 1}, {Entries: 1, EntryWeight: 1}, {1, -1, 1}} {
		t.Run(fmt.Sprint(bounds), func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			lru.New[int, int](bounds)
		})
	}
}

func TestCacheIsUsedConcurrently(t *testing.T) {
	c := lru.New[int, string](lru.Bounds{Entries: 5, Weight: 10, EntryWeight: 10})
	var users sync.WaitGroup
	for user := range 8 {
		users.Go(func() {
			for i := range 200 {
				c.Add((user+i)%10, "a", 1+i%10)
				c.Get(i % 10)
			}
		})
	}
	users.Wait()
	c.Add(1, "a", 10)
	if difference := cmp.Diff([]int{1}, stored(c)); difference != "" {
		t.Errorf("after an entry of all the weight (-want +got):\n%s", difference)
	}
}
