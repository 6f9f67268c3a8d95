package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/evidence/store/storetest"
)

const repository = "registry.example/app"

func keyOf(image string) store.Key {
	return store.Key{Manifest: digest.FromString(image), Repository: repository}
}

// read returns what another process reads.
func read(directory string, k store.Key) policy.Evidence {
	set, err := store.Read(directory, k)
	if err != nil {
		return policy.Evidence{}
	}
	return set.Evidence()
}

// filesIn returns the files that evidence consists of.
func filesIn(t *testing.T, of policy.Evidence) (files []format.File) {
	t.Helper()
	for kind, count := range []int{format.KindSignature: of.Signatures, format.KindBundle: of.Bundles} {
		for i := range count {
			content, err := os.ReadFile(filepath.Join(of.Directory, format.Kind(kind).Name(i)))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, format.File{Kind: format.Kind(kind), Bytes: content})
		}
	}
	return files
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// put stores content, and fails the test if that fails.
func put(t *testing.T, s *store.Store, k store.Key, c store.Content) *store.Set {
	t.Helper()
	set, _, err := s.Put(k, c, true)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// contents are what a store may have for a key.
func contents() map[string]store.Content {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	sources := []format.SourceState{{Reference: "registry.example/app:tag", Host: "mirror.example", Digest: "sha256:0"}}
	imported := generation(1)
	for i := range imported {
		imported[i].Imported = true
	}
	full := append(slices.Repeat(format.Files(format.KindSignature, []byte("s")), format.MaxFiles),
		slices.Repeat(format.Files(format.KindBundle, []byte("b")), format.MaxFiles)...)
	return map[string]store.Content{
		"nothing was found":        {FetchedAt: at, Sources: []format.SourceState{{Reference: "x"}}, Detail: "why"},
		"signatures and bundles":   {FetchedAt: at, Sources: sources, Files: generation(3)},
		"with a detail":            {FetchedAt: at, Detail: "one could not be read", Files: generation(1)},
		"some were imported":       {FetchedAt: at, ImportedAt: at.Add(time.Hour), Files: append(generation(2), imported...)},
		"as much as may be stored": {Files: full},
		"as many attestations as signatures": {
			Files: append(generation(1)[:1], format.Files(format.KindAttestation, []byte("attestation"))...),
		},
		"a file of one zero byte": {Files: format.Files(format.KindBundle, []byte{0})},
		"from several sources":    {Files: generation(1), Sources: append(sources, sources...)},
	}
}

func TestContentIsReadAsItWasStored(t *testing.T) {
	for name, want := range contents() {
		t.Run(name, func(t *testing.T) {
			directory, k := t.TempDir(), keyOf("image")
			s := storetest.Open(t, directory)
			stored := put(t, s, k, want)
			read, err := store.Read(directory, k)
			if err != nil {
				t.Fatal(err)
			}
			for which, set := range map[string]*store.Set{"stored": stored, "loaded": s.Load(k), "read": read} {
				if diff := cmp.Diff(want, set.Content()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", which, diff)
				}
				if !set.Equal(want) || !set.Intact() || set.Verify() != nil {
					t.Errorf("%s: equal %v, intact %v, %v", which, set.Equal(want), set.Intact(), set.Verify())
				}
				if diff := cmp.Diff(stored.Evidence(), set.Evidence()); diff != "" {
					t.Errorf("%s, as evidence (-stored +%s):\n%s", which, which, diff)
				}
			}
		})
	}
}

func TestASetIsEqualToContentWithTheSameFilesOnly(t *testing.T) {
	s := storetest.Open(t, t.TempDir())
	base := store.Content{Files: generation(2), Detail: "why", FetchedAt: time.Now()}
	set := put(t, s, keyOf("image"), base)
	for name, test := range map[string]struct {
		change func(*store.Content)
		want   bool
	}{
		"the same":              {func(*store.Content) {}, true},
		"fetched later":         {func(c *store.Content) { c.FetchedAt = c.FetchedAt.Add(time.Hour) }, true},
		"from another source":   {func(c *store.Content) { c.Sources = []format.SourceState{{Reference: "x"}} }, true},
		"another detail":        {func(c *store.Content) { c.Detail = "" }, false},
		"something was omitted": {func(c *store.Content) { c.Omitted = "one" }, false},
		"one file less":         {func(c *store.Content) { c.Files = c.Files[1:] }, false},
		"in another order":      {func(c *store.Content) { c.Files[0], c.Files[1] = c.Files[1], c.Files[0] }, false},
		"of another kind":       {func(c *store.Content) { c.Files[0].Kind = format.KindBundle }, false},
		"imported":              {func(c *store.Content) { c.Files[0].Imported = true }, false},
		"nothing":               {func(c *store.Content) { c.Files = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := base
			c.Files = slices.Clone(base.Files)
			test.change(&c)
			if got := set.Equal(c); got != test.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestDamagedEvidenceIsAbsentAndCanBeStoredAgain(t *testing.T) {
	for name, damage := range storetest.Damages() {
		t.Run(name, func(t *testing.T) {
			directory, k := t.TempDir(), keyOf("image")
			s := storetest.Open(t, directory)
			set := put(t, s, k, store.Content{Files: generation(4)})
			damage(storetest.Place{T: t, Base: storetest.Base(directory, k), Set: set.Evidence().Directory})
			if got := s.Load(k); got != nil {
				t.Errorf("it is loaded: %+v", got.Evidence())
			}
			if got := read(directory, k); got.State != policy.Unknown {
				t.Errorf("to another process it is %+v", got)
			}
			put(t, s, k, store.Content{Files: generation(4)})
			if got := s.Load(k); got == nil || !got.Equal(store.Content{Files: generation(4)}) {
				t.Error("it cannot be stored again")
			}
		})
	}
}

func TestASupersededSetStaysForThoseWhoReadIt(t *testing.T) {
	s := storetest.Open(t, t.TempDir())
	old := put(t, s, keyOf("image"), store.Content{Files: generation(1)}).Evidence()
	put(t, s, keyOf("image"), store.Content{Files: generation(2)})
	next := s.RemoveSuperseded(time.Now())
	if wait := time.Until(next); !exists(old.Directory) || wait <= 0 || wait > 10*time.Second {
		t.Errorf("it exists: %v, and is due in %v", exists(old.Directory), wait)
	}
	if next = s.RemoveSuperseded(next); exists(old.Directory) || !next.IsZero() {
		t.Errorf("it exists: %v, and more is due at %v", exists(old.Directory), next)
	}
}

func TestAnInvalidConfigurationIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		config store.Config
		want   string
	}{
		"no directory": {store.Config{MaxSize: 1}, "no directory is configured"},
		"no size":      {store.Config{Directory: t.TempDir()}, "its maximum size must be positive"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := store.Open(test.config); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestTheSweepKeepsAPinWithoutARecord has the sweep see what it sees if an import was killed between its pin and its
// record.
func TestTheSweepKeepsAPinWithoutARecord(t *testing.T) {
	for name, test := range map[string]struct {
		presence string
		stays    bool
	}{
		"its image is awaited":        {`{"awaited":true}`, true},
		"its image was seen to leave": {`{"absent_since":"2026-01-01T00:00:00Z"}`, false},
		"it cannot be parsed":         {"{", false},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			path := filepath.Join(storetest.Base(directory, keyOf("image")), "presence.json")
			write(t, path, test.presence)
			store.Sweep(directory)
			if exists(path) != test.stays {
				t.Errorf("it exists: %v, want %v", exists(path), test.stays)
			}
		})
	}
}

func TestEvidenceWithoutADiskIsEvictedFromMemory(t *testing.T) {
	s, err := openPlain(unusableDirectory(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	large := store.Content{Files: format.Files(format.KindSignature, make([]byte, 4<<20))}
	first := put(t, s, keyOf("0"), large)
	evicted := map[store.Key]bool{}
	for n := range 10 {
		_, removed, err := s.Put(keyOf(fmt.Sprint(n)), large, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range removed {
			evicted[r.Key] = true
			if r.Key == keyOf("0") && !r.Contains(first) {
				t.Error("it is not the set that was removed")
			}
		}
	}
	if size := s.Size(); !evicted[keyOf("0")] || size > 32<<20 || size < 24<<20 {
		t.Errorf("%d bytes are stored after the eviction of %v", size, evicted)
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
