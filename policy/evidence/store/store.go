package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/countersign/countersign/policy/evidence/format"
)

// Config describes a store.
type Config struct {
	// Directory is where evidence is stored. If it cannot be used, evidence is stored in memory.
	Directory string
	// MaxSize limits what is stored in Directory, in bytes.
	MaxSize int64
	// Exclusive has Open fail if the directory cannot be used: with [ErrLocked] if another process uses it.
	Exclusive bool
	// Logger receives what an operator should know.
	Logger *slog.Logger
}

// Store stores the evidence of one node. It must be closed. Its methods may be called concurrently, but writes for the
// same key follow each other in no particular order.
type Store struct {
	log *slog.Logger
	// disk is nil if the directory cannot be used.
	disk     *volume
	lock     *os.File
	overflow overflow
	health   health
}

// Removed identifies evidence that a store does not have any more.
type Removed struct {
	Key    Key
	volume *volume
}

// Contains reports whether a set is what was removed.
func (r Removed) Contains(s *Set) bool { return s != nil && s.volume == r.volume }

// Open opens a store.
func Open(config Config) (*Store, error) {
	if config.Directory == "" {
		return nil, errors.New("opening the evidence store: no directory is configured")
	}
	if config.MaxSize <= 0 {
		return nil, errors.New("opening the evidence store: its maximum size must be positive")
	}
	removeAbandoned()
	s := &Store{log: config.Logger}
	var err error
	s.disk, s.lock, err = openVolume(config.Directory, config.MaxSize)
	if err != nil && config.Exclusive {
		return nil, fmt.Errorf("opening the evidence store: %w", err)
	}
	if err != nil {
		s.log.Error("evidence is stored in memory only, and is lost at a restart", "error", err)
		s.health.failure, s.health.since = err, now()
	}
	return s, nil
}

// Close removes superseded files and what is stored in memory, and unlocks the directory. What is on disk can still be
// read.
func (s *Store) Close() {
	for _, v := range s.volumes() {
		v.removeSuperseded(time.Now(), true)
	}
	s.overflow.close()
	if s.lock != nil {
		_ = s.lock.Close()
		s.lock = nil
	}
}

// Sweep counts what earlier processes stored on disk, and removes what they left behind. It is called once.
func (s *Store) Sweep(ctx context.Context) {
	if s.disk != nil {
		s.disk.sweep(ctx)
	}
}

// RemoveSuperseded removes the superseded files that no decision can be reading any more, and returns when it is to be
// called again; zero: when more evidence has been stored or swept.
func (s *Store) RemoveSuperseded(now time.Time) (next time.Time) {
	for _, v := range s.volumes() {
		if due := v.removeSuperseded(now, false); next.IsZero() || !due.IsZero() && due.Before(next) {
			next = due
		}
	}
	return next
}

// volumes returns the volumes, the one in memory first: what is in memory is newer, and could not be written to disk.
func (s *Store) volumes() []*volume {
	var all []*volume
	if v := s.overflow.existing(); v != nil {
		all = append(all, v)
	}
	if s.disk != nil {
		all = append(all, s.disk)
	}
	return all
}

// Load returns what is stored for a key, or nil.
func (s *Store) Load(k Key) *Set {
	for _, v := range s.volumes() {
		if set, err := v.read(k); err == nil {
			return set
		}
	}
	return nil
}

// Read returns what a store, open or not, has for a key in a directory. It writes nothing.
func Read(directory string, k Key) (*Set, error) {
	return readSet(filepath.Join(directory, versionDirectory), k)
}

// ErrNoDisk reports that the evidence directory cannot be used.
var ErrNoDisk = errors.New("there is no evidence directory")

// Put stores content that was fetched: on disk, or if that fails in memory. Content that a decision needs may replace
// evidence that decisions have used; other content replaces only evidence that no decision has used. Nothing replaces
// evidence that met a requirement. Put returns what it evicted to make room, even with an error.
func (s *Store) Put(k Key, c Content, needed bool) (*Set, []Removed, error) {
	u := update{content: c, needed: needed}
	set, removed, err := s.writeToDisk(k, u)
	if err == nil {
		return set, removed, nil
	}
	v, memoryErr := s.overflow.open()
	if memoryErr != nil {
		return nil, removed, errors.Join(err, memoryErr)
	}
	set, evicted, memoryErr := v.write(k, u)
	removed = append(removed, removedFrom(v, evicted)...)
	if memoryErr != nil {
		return nil, removed, errors.Join(err, memoryErr)
	}
	return set, removed, nil
}

// Import stores content of which some was imported, on disk. It does not expire before its image has been seen.
func (s *Store) Import(k Key, c Content) (*Set, []Removed, error) {
	return s.writeToDisk(k, update{content: c, needed: true, pinned: true})
}

// Pin prevents evidence on disk from expiring before its image has been seen. It reports false if the evidence is not
// on disk, or cannot be read any more: it has to be imported again.
func (s *Store) Pin(set *Set) (bool, error) {
	if set == nil || s.disk == nil || set.volume != s.disk {
		return false, nil
	}
	return s.disk.pin(set)
}

// AddSatisfied adds files that met a requirement to a set. With [ErrReplaced], what is stored has been replaced since
// the set was read. It returns what was evicted to make room, even with an error.
func (s *Store) AddSatisfied(set *Set, files ...format.File) (*Set, []Removed, error) {
	added, evicted, err := set.volume.addSatisfied(set, files)
	return added, removedFrom(set.volume, evicted), err
}

func (s *Store) writeToDisk(k Key, u update) (*Set, []Removed, error) {
	if s.disk == nil {
		return nil, nil, ErrNoDisk
	}
	set, evicted, err := s.disk.write(k, u)
	s.health.record(err, s.log)
	if err == nil {
		s.overflow.remove(k)
	}
	return set, removedFrom(s.disk, evicted), err
}

func removedFrom(v *volume, keys []Key) (removed []Removed) {
	for _, k := range keys {
		removed = append(removed, Removed{Key: k, volume: v})
	}
	return removed
}

// HasDisk reports whether the evidence directory can be used.
func (s *Store) HasDisk() bool { return s.disk != nil }

// Problem returns why evidence is not stored on disk, and since when; nil: the last write succeeded.
func (s *Store) Problem() error { return s.health.problem() }

// Size returns how much is stored, on disk and in memory, in bytes counted in blocks of 4 KiB.
func (s *Store) Size() (bytes int64) {
	for _, v := range s.volumes() {
		bytes += v.size()
	}
	return bytes
}
