package store

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"
)

// Sweep does what happens at a start: it removes what an earlier process left in a directory.
func Sweep(directory string) {
	v := newVolume(filepath.Join(directory, versionDirectory), 1<<30)
	v.sweep(context.Background())
	v.removeSuperseded(time.Now(), true)
}

// RemoveAbandoned does what each start does: it removes the directories in memory of processes that have ended.
func RemoveAbandoned() { removeAbandoned() }

// ParseRecord parses a record.json and returns how many files it lists.
func ParseRecord(raw []byte, k Key) (files int, err error) {
	r, err := parseRecord(raw, k)
	return max(len(r.Signatures), len(r.Bundles)), err
}

// NewQuota returns a function that adds one more item to a full quota of as many registries, and evicts for it.
func NewQuota(registries int) (evict func(n int)) {
	q := newQuota()
	at := func(n int) Key {
		return Key{Manifest: digest.FromString(strconv.Itoa(n)), Repository: fmt.Sprintf("%d.example/app", n)}
	}
	for n := range registries {
		q.set(at(n), usage{size: 1, used: n%2 == 0})
	}
	return func(n int) {
		k := at(registries + n)
		q.evict(k, 1, int64(registries), true)
		q.set(k, usage{size: 1, used: n%2 == 0})
	}
}
