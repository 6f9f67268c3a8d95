package storetest

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
)

// Base returns where a store in a directory has the record of a key, as package store documents it.
func Base(directory string, k store.Key) string {
	sum := sha256.Sum256([]byte(k.Repository))
	return filepath.Join(
		directory, "v1", k.Manifest.Algorithm().String(), k.Manifest.Encoded(), hex.EncodeToString(sum[:]))
}

// Open opens a store with room for a gigabyte.
func Open(t testing.TB, directory string) *store.Store {
	t.Helper()
	s, err := store.Open(store.Config{
		Directory: directory, MaxSize: 1 << 30, Exclusive: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Write stores files in a directory that no other store has open.
func Write(t testing.TB, directory string, k store.Key, files ...format.File) *store.Set {
	t.Helper()
	s := Open(t, directory)
	defer s.Close()
	set, _, err := s.Put(k, store.Content{Files: files}, true)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
