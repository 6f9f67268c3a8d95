package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/evidence/store/storetest"
)

var good = format.File{Kind: format.KindBundle, Bytes: []byte("good")}

// junk returns as many files of each kind as may be stored.
func junk() (files []format.File) {
	for _, kind := range []format.Kind{format.KindSignature, format.KindBundle} {
		for n := range format.MaxFiles {
			files = append(files, format.Files(kind, fmt.Appendf(nil, "junk %d", n))...)
		}
	}
	return files
}

// addSatisfied records files of a set as satisfied.
func addSatisfied(t *testing.T, s *store.Store, set *store.Set, files ...format.File) *store.Set {
	t.Helper()
	added, _, err := s.AddSatisfied(set, files...)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// wantSatisfied fails unless evidence has these files as ones that met a requirement.
func wantSatisfied(t *testing.T, when string, got policy.Evidence, want ...format.File) {
	t.Helper()
	part := policy.Evidence{
		Directory: got.Satisfied.Directory, Signatures: got.Satisfied.Signatures, Bundles: got.Satisfied.Bundles,
	}
	files := filesIn(t, part)
	if len(files) != len(want) {
		t.Errorf("%s: %d files met a requirement, not %d", when, len(files), len(want))
		return
	}
	for i, file := range files {
		if file.Kind != want[i].Kind || !bytes.Equal(file.Bytes, want[i].Bytes) {
			t.Errorf("%s: file %d is %q", when, i, file.Bytes)
		}
	}
}

func TestWhatMetARequirementStaysWhateverIsStored(t *testing.T) {
	at := time.Now()
	for name, change := range map[string]func(t *testing.T, s *store.Store, k store.Key){
		"other files are fetched": func(t *testing.T, s *store.Store, k store.Key) {
			t.Helper()
			put(t, s, k, store.Content{Files: junk()})
		},
		"other files are fetched, again and again": func(t *testing.T, s *store.Store, k store.Key) {
			t.Helper()
			for n := range 5 {
				put(t, s, k, store.Content{Files: junk()[n:]})
				s.RemoveSuperseded(time.Now().Add(time.Hour))
			}
		},
		"the registry has none any more": func(t *testing.T, s *store.Store, k store.Key) {
			t.Helper()
			put(t, s, k, store.Content{FetchedAt: at})
		},
		"files are imported": func(t *testing.T, s *store.Store, k store.Key) {
			t.Helper()
			files := junk()
			for i := range files {
				files[i].Imported = true
			}
			if _, _, err := s.Import(k, store.Content{Files: files, ImportedAt: at}); err != nil {
				t.Fatal(err)
			}
		},
		"the other files are damaged": func(t *testing.T, s *store.Store, k store.Key) {
			t.Helper()
			if err := os.RemoveAll(s.Load(k).Evidence().Directory); err != nil {
				t.Fatal(err)
			}
			put(t, s, k, store.Content{Files: junk()})
		},
		"nothing": func(*testing.T, *store.Store, store.Key) {},
	} {
		t.Run(name, func(t *testing.T) {
			directory, k := t.TempDir(), keyOf("image")
			s := storetest.Open(t, directory)
			set := put(t, s, k, store.Content{Files: append(generation(1), good)})
			set = addSatisfied(t, s, set, good)
			wantSatisfied(t, "at first", set.Evidence(), good)
			change(t, s, k)
			wantSatisfied(t, "loaded", s.Load(k).Evidence(), good)
			wantSatisfied(t, "to another process", read(directory, k), good)
			s.Close()
			store.Sweep(directory)
			s = storetest.Open(t, directory)
			wantSatisfied(t, "after a restart", s.Load(k).Evidence(), good)
			put(t, s, k, store.Content{Files: generation(3)})
			wantSatisfied(t, "replaced after a restart", s.Load(k).Evidence(), good)
			if left, err := filepath.Glob(storetest.Base(directory, k) + "/set-*"); err != nil || len(left) > 3 {
				t.Errorf("%d sets are left, %v", len(left), err)
			}
		})
	}
}

func TestFilesThatMetARequirementAreAdded(t *testing.T) {
	s := storetest.Open(t, t.TempDir())
	first, second := generation(1)[0], generation(1)[1]
	set := put(t, s, keyOf("image"), store.Content{Files: append(generation(1), good)})
	set = addSatisfied(t, s, set, good)
	before := set.Evidence()
	set = addSatisfied(t, s, set, good)
	if set.Evidence() != before {
		t.Error("the same file was written again")
	}
	set = addSatisfied(t, s, set, first)
	wantSatisfied(t, "a second one", set.Evidence(), first, good)
	set = addSatisfied(t, s, set, second, good)
	wantSatisfied(t, "a third one", set.Evidence(), first, second, good)
	if set.Evidence().Directory != before.Directory {
		t.Error("the other files were written again")
	}
	if !set.Intact() || set.Verify() != nil || !exists(before.Satisfied.Directory) {
		t.Error("a directory was removed at once")
	}
	s.RemoveSuperseded(time.Now().Add(time.Hour))
	if !set.Intact() || set.Verify() != nil || exists(before.Satisfied.Directory) {
		t.Error("the superseded directory has not been removed")
	}
}

// TestSatisfiedFilesAreLimited: a document may have a key that a tenant has.
func TestSatisfiedFilesAreLimited(t *testing.T) {
	padded := func(n, size int) format.File {
		return format.File{Kind: format.KindSignature, Bytes: fmt.Appendf(nil, "%d%s", n, strings.Repeat("x", size))}
	}
	for name, test := range map[string]struct{ count, size, want int }{
		"in number":                  {100, 10, 64},
		"in bytes":                   {100, 1 << 20, 3},
		"each of them is too large":  {1, 5 << 20, 0},
		"as much as there is room":   {64, 60 << 10, 64},
		"the first ones are as good": {3, 2<<20 - 10, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := storetest.Open(t, t.TempDir())
			set := put(t, s, keyOf("image"), store.Content{Files: generation(1)})
			for n := range test.count {
				set = addSatisfied(t, s, set, padded(n, test.size))
			}
			got := set.Evidence().Satisfied.Signatures
			if got != test.want {
				t.Errorf("%d are stored, not %d", got, test.want)
			}
			if first := set.SatisfiedFiles(); got > 0 && first[0].Bytes[0] != '0' {
				t.Errorf("the first one is not stored: %.10q", first[0].Bytes)
			}
		})
	}
}

func TestNothingIsAddedToASetThatWasReplaced(t *testing.T) {
	s, k := storetest.Open(t, t.TempDir()), keyOf("image")
	old := put(t, s, k, store.Content{Files: generation(1)})
	put(t, s, k, store.Content{Files: generation(2)})
	if _, _, err := s.AddSatisfied(old, good); !errors.Is(err, store.ErrReplaced) {
		t.Errorf("%v", err)
	}
	wantSatisfied(t, "the new set", s.Load(k).Evidence())
	addSatisfied(t, s, s.Load(k), good)
	wantSatisfied(t, "the new set", s.Load(k).Evidence(), good)
}

// TestARecordWithoutSatisfiedFilesIsRead: it is what earlier versions wrote.
func TestARecordWithoutSatisfiedFilesIsRead(t *testing.T) {
	directory, k := t.TempDir(), keyOf("image")
	storetest.Write(t, directory, k, good)
	raw, err := os.ReadFile(filepath.Join(storetest.Base(directory, k), "record.json"))
	if err != nil || bytes.Contains(raw, []byte("satisfied")) {
		t.Fatalf("%s, %v", raw, err)
	}
	s := storetest.Open(t, directory)
	addSatisfied(t, s, s.Load(k), good)
	wantSatisfied(t, "loaded", s.Load(k).Evidence(), good)
	raw, err = os.ReadFile(filepath.Join(storetest.Base(directory, k), "record.json"))
	var earlier struct {
		Version int
		Bundles []struct{ Size int }
	}
	if err != nil || json.Unmarshal(raw, &earlier) != nil || earlier.Version != 1 || len(earlier.Bundles) != 1 {
		t.Errorf("an earlier version cannot read %s, %v", raw, err)
	}
}

func TestDamagedFilesThatMetARequirementAreAbsent(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"the directory is missing":    os.RemoveAll,
		"a file is cut short":         func(path string) error { return os.Truncate(path+"/bundle-1.json", 1) },
		"there is an additional file": func(path string) error { return os.WriteFile(path+"/x", nil, 0o600) },
		"the directory is now a file": func(path string) error {
			return errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600))
		},
		"a file is a link to the file": func(path string) error { return os.Symlink(path, path+"/bundle-2.json") },
	} {
		t.Run(name, func(t *testing.T) {
			s, k := storetest.Open(t, t.TempDir()), keyOf("image")
			set := addSatisfied(t, s, put(t, s, k, store.Content{Files: generation(2)}), good)
			if err := damage(set.Evidence().Satisfied.Directory); err != nil {
				t.Fatal(err)
			}
			got := s.Load(k)
			if got == nil || !got.Equal(store.Content{Files: generation(2)}) {
				t.Fatal("the other files are absent too")
			}
			wantSatisfied(t, "loaded", got.Evidence())
			addSatisfied(t, s, got, good)
			wantSatisfied(t, "added again", s.Load(k).Evidence(), good)
		})
	}
}

// TestAFullStoreRemovesOnlyWhatMetNoRequirement fetches more evidence than the limit, next to files that met a
// requirement.
func TestAFullStoreRemovesOnlyWhatMetNoRequirement(t *testing.T) {
	directory := t.TempDir()
	s, err := store.Open(store.Config{Directory: directory, MaxSize: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	large := store.Content{Files: format.Files(format.KindSignature, make([]byte, 100<<10))}
	var protected []store.Key
	for n := range 5 {
		k := store.Key{Manifest: keyOf(fmt.Sprint(n)).Manifest, Repository: "quiet.example/app"}
		addSatisfied(t, s, put(t, s, k, large), good)
		protected = append(protected, k)
	}
	for n := range 50 {
		// The last of them fills the store with needed evidence of the same registry and of others.
		k := store.Key{Manifest: keyOf(fmt.Sprint(n)).Manifest, Repository: fmt.Sprintf("%d.example/app", n%3)}
		if _, _, err := s.Put(k, large, true); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range protected {
		got := read(directory, k)
		wantSatisfied(t, k.Manifest.String(), got, good)
		if got.State != policy.Found || got.Signatures+got.Bundles != 1 || got.Source != "" {
			t.Errorf("it is reduced to %+v", got)
		}
	}
	if size := s.Size(); size > 1<<20 {
		t.Errorf("%d bytes are stored", size)
	}
	// A reduced set grows and is replaced like any other.
	k := protected[0]
	other := format.File{Kind: format.KindSignature, Bytes: []byte("other")}
	addSatisfied(t, s, s.Load(k), other)
	wantSatisfied(t, "one more", s.Load(k).Evidence(), other, good)
	s.RemoveSuperseded(time.Now().Add(time.Hour))
	wantSatisfied(t, "superseded files removed", s.Load(k).Evidence(), other, good)
	if got := s.Load(k).Evidence(); got.Signatures+got.Bundles != 2 {
		t.Errorf("it has other files than those that met a requirement: %+v", got)
	}
	for _, k := range protected {
		if sets, err := filepath.Glob(filepath.Dir(s.Load(k).Evidence().Directory) + "/set-*"); len(sets) != 1 || err != nil {
			t.Errorf("of %s, these sets are on disk: %v, %v", k.Manifest, sets, err)
		}
	}
	put(t, s, k, store.Content{Files: generation(1)})
	wantSatisfied(t, "replaced", s.Load(k).Evidence(), other, good)
	if got := s.Load(k); !got.Equal(store.Content{Files: generation(1)}) {
		t.Errorf("the other files are %+v", got.Evidence())
	}
}

// TestImportedFilesAreNotReducedForPrefetches: they may not be available again.
func TestImportedFilesAreNotReducedForPrefetches(t *testing.T) {
	s, err := store.Open(store.Config{Directory: t.TempDir(), MaxSize: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	large := store.Content{Files: format.Files(format.KindSignature, make([]byte, 600<<10))}
	imported := large
	imported.ImportedAt = time.Now()
	set, _, err := s.Import(keyOf("image"), imported)
	if err != nil {
		t.Fatal(err)
	}
	addSatisfied(t, s, set, good)
	if _, removed, err := s.Put(keyOf("prefetched"), large, false); err != nil || len(removed) != 0 {
		t.Errorf("%v were removed, %v", removed, err)
	}
	if got := s.Load(keyOf("image")).Evidence(); got.Signatures != 1 {
		t.Errorf("%+v", got)
	}
	if _, removed, err := s.Put(keyOf("needed"), large, true); err != nil || len(removed) != 1 {
		t.Errorf("%v were removed, %v", removed, err)
	}
	wantSatisfied(t, "after a needed fetch", s.Load(keyOf("image")).Evidence(), good)
}

func TestWhatMetARequirementIsStoredInMemoryWithAFullDisk(t *testing.T) {
	directory := smallDisk(t)
	s := storetest.Open(t, directory)
	set := put(t, s, keyOf("image"), store.Content{Files: generation(1)})
	set = addSatisfied(t, s, set, good)
	fill(t, filepath.Join(directory, "filler"))
	if _, _, err := s.AddSatisfied(set, generation(1)[0]); err == nil {
		t.Fatal("the disk is not full")
	}
	wantSatisfied(t, "after a write that failed", s.Load(keyOf("image")).Evidence(), good)
	put(t, s, keyOf("image"), store.Content{Files: junk(), Satisfied: []format.File{good}})
	wantSatisfied(t, "in memory", s.Load(keyOf("image")).Evidence(), good)
	wantSatisfied(t, "on disk", read(directory, keyOf("image")), good)
}

func TestWhatMetARequirementIsExported(t *testing.T) {
	directory, k := t.TempDir(), keyOf("image")
	s := storetest.Open(t, directory)
	addSatisfied(t, s, put(t, s, k, store.Content{Files: []format.File{good}}), good)
	put(t, s, k, store.Content{Files: junk()})
	stored := list(t, directory)[0]
	item, err := stored.Item()
	if err != nil || stored.Satisfied != 1 {
		t.Fatalf("%d met a requirement, %v", stored.Satisfied, err)
	}
	if bundles := format.Contents(item.Files, format.KindBundle); len(bundles) != format.MaxFiles ||
		!bytes.Equal(bundles[len(bundles)-1], good.Bytes) {
		t.Errorf("the last of %d bundles is %q", len(bundles), bundles[len(bundles)-1])
	}
}
