package evidence_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
)

const testRepository = "registry.example/app"

// bundle returns the n-th of many bundles.
func bundle(n int) []byte {
	return fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","n":%d}`, n)
}

// brought is an item with the given number of signatures and bundles, numbered from a number on.
func newItem(t testing.TB, from, signatures, bundles int) format.Item {
	t.Helper()
	item := format.Item{Manifest: manifestOf("image"), Repository: testRepository}
	for n := range signatures {
		item.Add(format.KindSignature, signed(from+n).file(t))
	}
	for n := range bundles {
		item.Add(format.KindBundle, bundle(from+n))
	}
	return item
}

// store is a Keeper in virtual time, with a registry whose answers a test sets.
type node struct {
	*world
	keeper    *evidence.Keeper
	directory string
}

func onNode(t *testing.T, test func(s *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &node{world: &world{t: t, start: time.Now()}, directory: t.TempDir()}
		s.open()
		defer func() { s.keeper.Close() }()
		test(s)
	})
}

func (s *node) open() {
	s.t.Helper()
	var err error
	s.keeper, err = evidence.OpenWith(evidence.Config{Directory: s.directory, MaxSize: 1 << 30}, s.look)
	if err != nil {
		s.t.Fatal(err)
	}
}

// sleep lets virtual time pass.
func (s *node) sleep(d time.Duration) {
	s.t.Helper()
	time.Sleep(d)
	synctest.Wait()
}

// reopen ends the process and starts the next.
func (s *node) reopen() {
	s.t.Helper()
	s.keeper.Close()
	s.open()
}

func (s *node) lookup() policy.Evidence {
	s.t.Helper()
	got := lookup(s.keeper, parse(s.t, testRepository), manifestOf("image"))
	synctest.Wait()
	return got
}

func (s *node) importItem(item format.Item, want int) {
	s.t.Helper()
	added, err := s.keeper.Import(item)
	if err != nil || added != want {
		s.t.Fatalf("%d were new, not %d: %v", added, want, err)
	}
}

// fetch sets the content of the registry and fetches it.
func (s *node) fetch(found evidence.Found) {
	s.t.Helper()
	s.set(found, nil)
	if err := s.keeper.Fetch(s.t.Context(), manifestOf("image"), parse(s.t, testRepository)); err != nil {
		s.t.Fatal(err)
	}
}

// stored returns the only evidence there is on disk.
func (s *node) storedItem() format.Item {
	s.t.Helper()
	stored, err := store.List(s.directory)
	if err != nil || len(stored) != 1 {
		s.t.Fatalf("%v, %v", stored, err)
	}
	item, err := stored[0].Item()
	if err != nil {
		s.t.Fatal(err)
	}
	return item
}

// holds compares the stored files with the expected ones, in order.
func (s *node) wantStored(want format.Item) {
	s.t.Helper()
	got := s.storedItem()
	if diff := cmp.Diff(digestsOf(want), digestsOf(got)); diff != "" || got.Repository != want.Repository {
		s.t.Errorf("stored for %s (-want +got):\n%s", got.Repository, diff)
	}
	e := s.lookup()
	if e.State != policy.Found || e.Signatures != want.Count(format.KindSignature) ||
		e.Bundles != want.Count(format.KindBundle) {
		s.t.Errorf("it says %+v", e)
	}
}

// digestsOf returns the digests of an item's manifest and files.
func digestsOf(item format.Item) []digest.Digest {
	digests := []digest.Digest{item.Manifest}
	signatures := format.Contents(item.Files, format.KindSignature)
	bundles := format.Contents(item.Files, format.KindBundle)
	for _, file := range slices.Concat(signatures, bundles) {
		digests = append(digests, digest.FromBytes(file))
	}
	return digests
}

func TestWhatIsImportedIsKeptAndNobodyIsAsked(t *testing.T) {
	onNode(t, func(s *node) {
		s.set(evidence.Found{}, errDown)
		item := newItem(t, 1, 2, 2)
		s.importItem(item, 4)
		s.wantStored(item)
		s.reopen()
		s.wantStored(item)
		if looks := s.looked(); len(looks) != 0 {
			t.Errorf("the registry was asked at %v", looks)
		}
	})
}

func TestWhatIsImportedCountsAtOnce(t *testing.T) {
	onNode(t, func(s *node) {
		before := s.lookup()
		s.importItem(newItem(t, 1, 1, 0), 1)
		after := s.lookup()
		if before.State == policy.Found || after.State != policy.Found || before.Generation == after.Generation {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

func TestAnImportIsJoinedWithWhatIsThere(t *testing.T) {
	onNode(t, func(s *node) {
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 1, 2, 0).Files, format.KindSignature), Tag: "a"})
		s.importItem(newItem(t, 2, 2, 1), 2)
		want := newItem(t, 1, 3, 0)
		want.Add(format.KindBundle, bundle(2))
		s.wantStored(want)
		s.importItem(newItem(t, 2, 2, 1), 0)
		s.wantStored(want)
		s.importItem(newItem(t, 9, 0, 1), 1)
		want.Add(format.KindBundle, bundle(9))
		s.wantStored(want)
	})
}

func TestWhatARegistryHasReplacesWhatItHadButNotWhatWasImported(t *testing.T) {
	onNode(t, func(s *node) {
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 1, 1, 0).Files, format.KindSignature), Tag: "a"})
		s.importItem(newItem(t, 5, 1, 1), 2)
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 2, 1, 0).Files, format.KindSignature), Tag: "b"})
		want := newItem(t, 5, 1, 1)
		want.Files = append(format.Files(format.KindSignature, signed(2).file(t)), want.Files...)
		s.wantStored(want)
		s.fetch(evidence.Found{})
		s.wantStored(want)
		s.reopen()
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 5, 1, 0).Files, format.KindSignature), Tag: "c"})
		s.wantStored(newItem(t, 5, 1, 1))
	})
}

func TestWhatARegistryHasStillIsNotWrittenAgain(t *testing.T) {
	onNode(t, func(s *node) {
		s.importItem(newItem(t, 5, 1, 1), 2)
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 1, 1, 0).Files, format.KindSignature), Tag: "a"})
		before := s.lookup()
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 1, 1, 0).Files, format.KindSignature), Tag: "b"})
		if after := s.lookup(); after != before {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

func TestWhatWasImportedLastStaysWhereThereIsTooMuch(t *testing.T) {
	onNode(t, func(s *node) {
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 1, 60, 0).Files, format.KindSignature), Tag: "a"})
		s.importItem(newItem(t, 101, 10, 0), 10)
		want := newItem(t, 7, 54, 0)
		want.Add(format.KindSignature, format.Contents(newItem(t, 101, 10, 0).Files, format.KindSignature)...)
		s.wantStored(want)
		if got := s.lookup(); !strings.Contains(got.Detail, "6 signatures and bundles were left out") {
			t.Errorf("it says %q", got.Detail)
		}
		s.importItem(newItem(t, 201, 60, 0), 60)
		want = newItem(t, 107, 4, 0)
		want.Add(format.KindSignature, format.Contents(newItem(t, 201, 60, 0).Files, format.KindSignature)...)
		s.wantStored(want)
		// A registry cannot displace imported evidence.
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 1, 64, 0).Files, format.KindSignature), Tag: "b"})
		s.wantStored(want)
	})
}

func TestTheFilesOfOneManifestAreBoundedTogether(t *testing.T) {
	onNode(t, func(s *node) {
		item := format.Item{Manifest: manifestOf("image"), Repository: testRepository}
		filler := strings.Repeat("x", 1<<20-100)
		for n := range 40 {
			raw := fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","x":"%d%s"}`, n, filler)
			item.Add(format.KindBundle, raw)
		}
		s.importItem(item, 40)
		item.Files = item.Files[8:]
		s.wantStored(item)
	})
}

func TestWhatHasNotTheRightFormIsRefusedWhole(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*format.Item)
		want   string
	}{
		"no digest": {func(i *format.Item) { i.Manifest = "sha256:../../etc" }, "the manifest's digest"},
		"an unknown algorithm": {
			func(i *format.Item) { i.Manifest = "md5:" + digest.Digest(strings.Repeat("0", 32)) }, "the manifest's digest",
		},
		"a name that is not normalised": {func(i *format.Item) { i.Repository = "busybox" }, "not the full name"},
		"a tag in the name":             {func(i *format.Item) { i.Repository += ":v1" }, "not the full name"},
		"no name":                       {func(i *format.Item) { i.Repository = "" }, "not the full name"},
		"nothing":                       {func(i *format.Item) { i.Files = nil }, "neither"},
		"too many":                      {func(i *format.Item) { *i = newItem(t, 1, 65, 0) }, "65 signatures"},
		"a signature that is none":      {func(i *format.Item) { i.Files[1].Bytes = []byte("hello") }, "signature 2: "},
		"a bundle that is none":         {func(i *format.Item) { i.Files[2].Bytes = []byte("{}") }, "bundle 1: it is not"},
		"a bundle that is no JSON":      {func(i *format.Item) { i.Files[2].Bytes = []byte("{") }, "bundle 1: it is not"},
		"a bundle that is too large": {
			func(i *format.Item) { i.Files[2].Bytes = make([]byte, format.MaxFile+1) }, "bundle 1: it has",
		},
	} {
		t.Run(name, func(t *testing.T) {
			keeper := open(t, evidence.Config{})
			item := newItem(t, 1, 2, 1)
			test.change(&item)
			added, err := keeper.Import(item)
			if added != 0 || err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%d were added: %v", added, err)
			}
		})
	}
}

func TestAFullDiskRefusesAnImportAndLosesNothing(t *testing.T) {
	directory := smallDisk(t)
	keeper := open(t, evidence.Config{Directory: directory})
	if _, err := keeper.Import(newItem(t, 1, 1, 1)); err != nil {
		t.Fatal(err)
	}
	large := format.Item{Manifest: manifestOf("image"), Repository: testRepository}
	for n := range 32 {
		large.Add(format.KindBundle, fmt.Appendf(nil,
			`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","x":"%d%s"}`, n, strings.Repeat("x", 900<<10)))
	}
	if _, err := keeper.Import(large); err == nil {
		t.Fatal("it was stored on a disk that is smaller")
	}
	got := lookup(keeper, parse(t, testRepository), manifestOf("image"))
	if got.State != policy.Found || got.Signatures != 1 || got.Bundles != 1 {
		t.Errorf("what was there: %+v", got)
	}
}

func TestWhoImportsRightAfterAStartLosesNothing(t *testing.T) {
	for range 100 {
		directory := t.TempDir()
		// What an earlier process left is being swept meanwhile.
		empty := filepath.Dir(baseOf(directory, "image", testRepository))
		if err := os.MkdirAll(empty, 0o700); err != nil {
			t.Fatal(err)
		}
		keeper := open(t, evidence.Config{Directory: directory})
		item := newItem(t, 1, 1, 1)
		if _, err := keeper.Import(item); err != nil {
			t.Fatal(err)
		}
		keeper.Close()
		if stored := list(t, directory); len(stored) != 1 || stored[0].Damage != nil {
			t.Fatalf("%+v", stored)
		}
		if !pinned(t, directory, item) {
			t.Fatal("it is not pinned")
		}
	}
}

func TestWithoutADirectoryNothingIsImported(t *testing.T) {
	if _, err := open(t, evidence.Config{Directory: unusableDirectory(t)}).Import(newItem(t, 1, 1, 1)); err == nil {
		t.Error("it was not stored")
	}
}

func TestWhoImportsWhileItIsFetchedLosesNeither(t *testing.T) {
	for range 20 {
		onNode(t, func(s *node) {
			s.set(evidence.Found{Files: format.Contents(newItem(t, 1, 1, 0).Files, format.KindSignature), Tag: "a"}, nil)
			failed := make(chan error)
			go func() {
				failed <- s.keeper.Fetch(s.t.Context(), manifestOf("image"), parse(s.t, testRepository))
			}()
			_, err := s.keeper.Import(newItem(t, 2, 1, 1))
			if err := errors.Join(err, <-failed); err != nil {
				t.Fatal(err)
			}
			want := newItem(t, 1, 2, 0)
			want.Add(format.KindBundle, bundle(2))
			s.wantStored(want)
		})
	}
}

// list returns what is stored in a directory.
func list(t *testing.T, directory string) []store.Info {
	t.Helper()
	stored, err := store.List(directory)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}
