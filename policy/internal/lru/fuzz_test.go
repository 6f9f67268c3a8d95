package lru_test

import (
	"testing"

	"github.com/countersign/countersign/policy/internal/lru"
)

// FuzzCache adds values in any order. After each addition the cache has that value, is within its bounds, and returns
// what was added last for every other key that it has.
func FuzzCache(f *testing.F) {
	f.Add([]byte{0x14, 0x26, 0x35, 0x14, 0x02})
	f.Add([]byte{0x16, 0xf0, 0x16, 0x24, 0x27})
	bounds := lru.Bounds{Entries: 4, Weight: 10, EntryWeight: 6}
	type added struct{ number, weight int }
	f.Fuzz(func(t *testing.T, operations []byte) {
		c, last := lru.New[int, added](bounds), map[int]added{}
		for number, operation := range operations {
			key, value := int(operation>>4), added{number, int(operation & 7)}
			if operation&8 != 0 {
				c.Get(key)
				continue
			}
			c.Add(key, value, value.weight)
			if value.weight > bounds.EntryWeight {
				continue
			}
			last[key] = value
			if got, ok := c.Get(key); got != value || !ok {
				t.Fatalf("after it was added, key %d has %+v, %v; want %+v", key, got, ok, value)
			}
			entries, weight := 0, 0
			for key := range 16 { // In one order, because it changes what is evicted next.
				got, ok := c.Get(key)
				if !ok {
					continue
				}
				if want := last[key]; got != want {
					t.Fatalf("key %d has %+v, want %+v", key, got, want)
				}
				entries, weight = entries+1, weight+got.weight
			}
			if entries > bounds.Entries || weight > bounds.Weight {
				t.Fatalf("%d entries of weight %d", entries, weight)
			}
		}
	})
}
