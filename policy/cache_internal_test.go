package policy

import (
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Inside the package, because how much is remembered cannot be seen from outside.

func TestMemoryIsBoundedUnderAMillionKeys(t *testing.T) {
	const limit = 1024
	m := newCache(limit, 1<<20, func(int, int) int { return 1 })
	for key := range 1_000_000 {
		m.put(key, key)
		if key%2 == 0 {
			m.get(key - limit/2) // a key that is read is carried over
		}
		if held := len(m.recent) + len(m.older); held > limit {
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
	m := newCache(64, 1<<20, func(string, int) int { return 1 })
	m.put("often", 1)
	for key := range 10_000 {
		m.put(strconv.Itoa(key), key)
		if _, ok := m.get("often"); !ok {
			t.Fatalf("a key that is asked for all the time was forgotten after %d others", key+1)
		}
	}
}

func TestPuttingAKnownKeyForgetsNothing(t *testing.T) {
	m := newCache(8, 1<<20, func(int, int) int { return 1 })
	for key := range 8 {
		m.put(key, key)
	}
	for range 10 {
		m.put(7, 70)
	}
	for key := range 8 {
		if _, ok := m.older[key]; !ok && m.recent[key] == 0 {
			t.Errorf("key %d was forgotten", key)
		}
	}
	if got, _ := m.get(7); got != 70 {
		t.Errorf("key 7 gives %d, want what was put last", got)
	}
}

// TestMemoryIsBoundedInBytes: details are as long as hostile signatures make them.
func TestMemoryIsBoundedInBytes(t *testing.T) {
	m := newCache(maxFindings, maxFindingBytes, func(key findingKey, j judgement) int { return j.size(key) })
	detail := strings.Repeat("x", maxDetails)
	for n := range 2 * maxFindings {
		m.put(findingKey{evidence: uint64(n)}, judgementOf(Finding{Reason: Rejected, Detail: detail}))
		m.get(findingKey{evidence: uint64(n / 2)}) // One that is read again is carried over.
		held := 0
		if n%1000 == 0 {
			for _, entries := range []map[findingKey]judgement{m.recent, m.older} {
				for key, finding := range entries {
					held += finding.size(key)
				}
			}
		}
		if held > maxFindingBytes || m.bytes > maxFindingBytes/2 {
			t.Fatalf("%d bytes are held after %d findings, %d of them new", held, n+1, m.bytes)
		}
	}
	if len(m.recent) == 0 {
		t.Error("nothing is held")
	}
}

func TestWhatIsLargerThanTheMemoryIsNotHeld(t *testing.T) {
	m := newCache(8, 100, func(_, value int) int { return value })
	m.put(1, 40)
	m.put(2, 60)
	if _, ok := m.get(2); ok {
		t.Error("it is held")
	}
	if got, ok := m.get(1); !ok || got != 40 {
		t.Error("it made another forgotten")
	}
}

func TestMemoryServesMany(t *testing.T) {
	m := newCache(128, 1<<20, func(int, int) int { return 1 })
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

// judgementOf is that of two judges which find the same.
func judgementOf(finding Finding) judgement {
	return judgement{Finding: finding, each: []Finding{finding, finding}}
}
