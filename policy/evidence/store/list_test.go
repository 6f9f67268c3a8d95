package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/evidence/store/storetest"
)

func list(t *testing.T, directory string) []store.Info {
	t.Helper()
	stored, err := store.List(directory)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestAStoreIsListedWhileItIsOpen(t *testing.T) {
	directory, at := t.TempDir(), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := storetest.Open(t, directory)
	files := format.Files(format.KindSignature, []byte("one"), []byte("two"))
	files = append(files, format.File{Kind: format.KindBundle, Bytes: []byte("three"), Imported: true})
	if _, _, err := s.Import(keyOf("image"), store.Content{
		Files: files, FetchedAt: at, ImportedAt: at.Add(time.Hour), Detail: "why", Omitted: "what",
		Sources: []format.SourceState{{Reference: "registry.example/app:tag", Host: "mirror.example"}},
	}); err != nil {
		t.Fatal(err)
	}
	want := []store.Info{{
		Manifest: keyOf("image").Manifest, Repository: repository, State: policy.Found,
		Signatures: 2, Bundles: 1, Imported: 1, Size: int64(len("onetwothree")), Detail: "why; what",
		Fetched: at, ImportedAt: at.Add(time.Hour),
		Sources: []store.Source{{Reference: "registry.example/app:tag", Host: "mirror.example"}},
	}}
	got := list(t, directory)
	ignored := cmp.Options{
		cmpopts.IgnoreUnexported(store.Info{}), cmpopts.IgnoreFields(store.Info{}, "Directory"),
	}
	if diff := cmp.Diff(want, got, ignored); diff != "" {
		t.Errorf("it is listed as (-want +got):\n%s", diff)
	}
	if entries, err := os.ReadDir(got[0].Directory); err != nil || len(entries) != 3 {
		t.Errorf("its directory has %v, %v", entries, err)
	}
}

func TestAListIsInTheOrderOfRepositoriesAndManifests(t *testing.T) {
	directory := t.TempDir()
	s := storetest.Open(t, directory)
	var want []string
	for _, repository := range []string{"a.example/a", "a.example/b", "b.example/a"} {
		want = append(want, slices.Repeat([]string{repository}, 3)...)
	}
	for _, repository := range []string{"b.example/a", "a.example/b", "a.example/a"} {
		for _, image := range []string{"one", "two", "three"} {
			k := keyOf(image)
			k.Repository = repository
			put(t, s, k, store.Content{Files: generation(1)})
		}
	}
	var got []string
	var before store.Info
	for _, stored := range list(t, directory) {
		got = append(got, stored.Repository)
		if stored.Repository == before.Repository && stored.Manifest <= before.Manifest {
			t.Errorf("%s comes after %s", stored.Manifest, before.Manifest)
		}
		before = stored
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the order (-want +got):\n%s", diff)
	}
}

func TestDamagedEvidenceIsListedAsDamaged(t *testing.T) {
	for name, damage := range storetest.Damages() {
		t.Run(name, func(t *testing.T) {
			directory, k := t.TempDir(), keyOf("image")
			set := storetest.Write(t, directory, k, generation(4)...)
			base := storetest.Base(directory, k)
			damage(storetest.Place{T: t, Base: base, Set: set.Evidence().Directory})
			for _, stored := range list(t, directory) {
				if stored.Damage == nil || stored.State != policy.Unknown {
					t.Errorf("it is listed as %+v", stored)
				}
				if stored.Manifest != k.Manifest || !strings.HasPrefix(stored.Directory, base) {
					t.Errorf("it is said to be of %s in %s", stored.Manifest, stored.Directory)
				}
				if _, err := stored.Item(); !errors.Is(err, stored.Damage) {
					t.Errorf("its files can be read: %v", err)
				}
			}
		})
	}
}

func TestFilesReplacedAfterTheListCannotBeRead(t *testing.T) {
	directory := t.TempDir()
	storetest.Write(t, directory, keyOf("image"), generation(4)...)
	stored := list(t, directory)[0]
	if item, err := stored.Item(); err != nil || len(item.Files) != len(generation(4)) {
		t.Fatalf("%d files, %v", len(item.Files), err)
	}
	write(t, filepath.Join(stored.Directory, "signature-1"), string(generation(9)[0].Bytes))
	if _, err := stored.Item(); err == nil {
		t.Error("other bytes were read")
	}
}

func TestADirectoryThatDoesNotExistIsEmpty(t *testing.T) {
	if got := list(t, filepath.Join(t.TempDir(), "absent")); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestADirectoryThatCannotBeReadIsAnError(t *testing.T) {
	directory := unusableDirectory(t)
	if _, err := store.List(directory); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("it is %v", err)
	}
	if _, err := os.Stat(directory); err == nil {
		t.Error("it was created")
	}
}
