package policy

import (
	"strconv"
	"sync"
	"testing"
)

// Inside the package, because how much is remembered cannot be seen from outside.

func TestMemoryIsBoundedUnderAMillionKeys(t *testing.T) {
	const limit = 1024
	m := newMemory[int, int](limit)
	for key := range 1_000_000 {
		m.put(key, key)
		if key%2 == 0 {
			m.get(key - limit/2) // a key that is read is carried over
		}
		if held := len(m.young) + len(m.old); held > limit {
			t.Fatalf("%d entries are held after %d keys, want at most %d", held, key+1, limit)
		}
	}
	if got, ok := m.get(999_999); !ok || got != 999_999 {
		t.Errorf("the last key gives %d, %t", got, ok)
	}
	if _, ok := m.get(0); ok {
		t.Error("the first of a million keys is still held")
	}
}

func TestWhatIsAskedForIsNotForgotten(t *testing.T) {
	m := newMemory[string, int](64)
	m.put("often", 1)
	for key := range 10_000 {
		m.put(strconv.Itoa(key), key)
		if _, ok := m.get("often"); !ok {
			t.Fatalf("a key that is asked for all the time was forgotten after %d others", key+1)
		}
	}
}

func TestPuttingAKnownKeyForgetsNothing(t *testing.T) {
	m := newMemory[int, int](8)
	for key := range 8 {
		m.put(key, key)
	}
	for range 10 {
		m.put(7, 70)
	}
	for key := range 8 {
		if _, ok := m.old[key]; !ok && m.young[key] == 0 {
			t.Errorf("key %d was forgotten", key)
		}
	}
	if got, _ := m.get(7); got != 70 {
		t.Errorf("key 7 gives %d, want what was put last", got)
	}
}

func TestMemoryServesMany(t *testing.T) {
	m := newMemory[int, int](128)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for key := range 2000 {
				m.put(key%300, key%300)
				if got, ok := m.get(key % 300); ok && got != key%300 {
					t.Errorf("key %d gives %d", key%300, got)
				}
			}
		})
	}
	group.Wait()
}
