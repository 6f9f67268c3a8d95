package policy

import (
	"strconv"
	"strings"
	"sync"
	"testing"
)

// This test is inside the package because the size of the cache is not visible from outside.

func TestTheCacheIsBoundedUnderAMillionKeys(t *testing.T) {
	const limit = 1024
	m := newCache(limit, 1<<20, func(int, int) int { return 1 })
	for key := range 1_000_000 {
		m.put(key, key)
		if key%2 == 0 {
			m.get(key - limit/2) // a key that is read is moved to the recent half
		}
		if held := len(m.recent) + len(m.older); held > limit {
			t.Fatalf("%d entries after %d keys, want at most %d", held, key+1, limit)
		}
	}
	if got, ok := m.get(999_999); !ok || got != 999_999 {
		t.Errorf("the last key gives %d, %t", got, ok)
	}
	if _, ok := m.get(0); ok {
		t.Error("the first of a million keys is still cached")
	}
}

func TestKeysThatAreReadStayCached(t *testing.T) {
	m := newCache(64, 1<<20, func(string, int) int { return 1 })
	m.put("often", 1)
	for key := range 10_000 {
		m.put(strconv.Itoa(key), key)
		if _, ok := m.get("often"); !ok {
			t.Fatalf("a key that is read all the time was dropped after %d others", key+1)
		}
	}
}

func TestPuttingACachedKeyDropsNothing(t *testing.T) {
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
		t.Errorf("key 7 has %d, want the last value", got)
	}
}

// TestTheCacheIsBoundedInBytes: hostile signatures determine the length of details.
func TestTheCacheIsBoundedInBytes(t *testing.T) {
	m := newCache(maxFindings, maxFindingBytes, func(key findingKey, j judgement) int { return j.size(key) })
	detail := strings.Repeat("x", maxDetails)
	for n := range 2 * maxFindings {
		m.put(findingKey{evidence: uint64(n)}, judgementOf(Finding{Reason: Rejected, Detail: detail}))
		m.get(findingKey{evidence: uint64(n / 2)}) // An entry that is read is moved to the recent half.
		held := 0
		if n%1000 == 0 {
			for _, entries := range []map[findingKey]judgement{m.recent, m.older} {
				for key, finding := range entries {
					held += finding.size(key)
				}
			}
		}
		if held > maxFindingBytes || m.bytes > maxFindingBytes/2 {
			t.Fatalf("%d bytes after %d findings, %d of them in the recent half", held, n+1, m.bytes)
		}
	}
	if len(m.recent) == 0 {
		t.Error("the cache is empty")
	}
}

func TestEntriesLargerThanTheCacheAreNotCached(t *testing.T) {
	m := newCache(8, 100, func(_, value int) int { return value })
	m.put(1, 40)
	m.put(2, 60)
	if _, ok := m.get(2); ok {
		t.Error("it is cached")
	}
	if got, ok := m.get(1); !ok || got != 40 {
		t.Error("it made another forgotten")
	}
}

func TestTheCacheIsSafeForConcurrentUse(t *testing.T) {
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

// judgementOf returns the judgement of two judges with the same finding.
func judgementOf(finding Finding) judgement {
	return judgement{Finding: finding, each: []Finding{finding, finding}}
}
