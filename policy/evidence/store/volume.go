package store

import (
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/countersign/countersign/policy/internal/bounded"
)

// volume is one directory of the store's layout, bounded in size: the one on disk, or the one in memory. Methods may be
// called at any time; reading does not wait for writing.
type volume struct {
	// root is the directory of one version.
	root  string
	limit int64

	// writing is locked while files are written or removed.
	writing sync.Mutex

	mu    sync.Mutex
	quota *quota
	// superseded are paths that no record names any more, in the order in which they are to be removed, and pending the
	// same paths as a set.
	superseded []superseded
	pending    map[string]struct{}
}

// superseded is a path that is to be removed at a time.
type superseded struct {
	path string
	due  time.Time
}

func newVolume(root string, limit int64) *volume {
	return &volume{root: root, limit: limit, quota: newQuota(), pending: map[string]struct{}{}}
}

func (v *volume) path(k Key) string { return filepath.Join(v.root, k.path()) }

// read returns the set that the volume has for a key, every byte of it verified, or an error with the reason why there
// is none.
func (v *volume) read(k Key) (*Set, error) {
	s, err := readSet(v.root, k)
	if err != nil {
		return nil, err
	}
	s.volume = v
	v.enter(k, &s.record)
	return s, nil
}

// enter counts what is stored for a key, if it is not counted yet.
func (v *volume) enter(k Key, r *record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.quota.enter(k, r)
}

// readSet reads and verifies the set of a key below a version's directory.
func readSet(root string, k Key) (*Set, error) {
	base := filepath.Join(root, k.path())
	// Nothing is read through a link, because nothing is written through one.
	if _, err := stampOf(base); err != nil {
		return nil, err
	}
	raw, err := readFile(filepath.Join(base, recordName), maxRecord)
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(raw, k)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", base, err)
	}
	s := &Set{record: r}
	if s.files, err = openDirectory(base, &r.fileSet); err != nil {
		return nil, err
	}
	if s.satisfied, err = openDirectory(base, &r.Satisfied); err != nil {
		// The other files are what they were without these.
		s.record.Satisfied, s.satisfied = fileSet{}, directory{}
	}
	return s, nil
}

// readFile reads a regular file of at most that many bytes. Anything else, such as a named pipe, is not opened.
func readFile(path string, limit int64) ([]byte, error) {
	raw, err := bounded.ReadNoFollow(path, limit)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return raw, nil
}

// use records that a decision uses the evidence of a key.
func (v *volume) use(k Key) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.quota.use(k)
}

// size returns what is stored, counted in blocks of 4 KiB.
func (v *volume) size() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.quota.total
}
