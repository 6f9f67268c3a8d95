package evidence_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/evidence/store/storetest"
)

// pinned reports whether evidence is recorded as imported before its image.
func pinned(t testing.TB, directory string, item format.Item) bool {
	t.Helper()
	base := storetest.Base(directory, store.Key{Manifest: item.Manifest, Repository: item.Repository})
	raw, err := os.ReadFile(filepath.Join(base, "presence.json"))
	if err != nil {
		return false
	}
	var presence struct{ Awaited bool }
	return json.Unmarshal(raw, &presence) == nil && presence.Awaited
}

// TestNoImportLosesItsPinToTheSweepAfterAStart imports as the command line does without a daemon: each time into a
// store that was just opened, and is being swept.
func TestNoImportLosesItsPinToTheSweepAfterAStart(t *testing.T) {
	const imports = 2000
	for n := range imports {
		directory := filepath.Join(t.TempDir(), "evidence")
		keeper, err := evidence.Open(evidence.Config{Directory: directory, MaxSize: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		item := newItem(t, 1, 0, 1)
		_, err = keeper.Import(item)
		keeper.Close()
		if err != nil || !pinned(t, directory, item) {
			t.Fatalf("import %d of %d: pinned: %v, %v", n+1, imports, pinned(t, directory, item), err)
		}
		if err := os.RemoveAll(directory); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTheSweepRemovesLeftoversWhileTheStoreIsOpen: what a killed process left is removed a few minutes after the start,
// not at the next one.
func TestTheSweepRemovesLeftoversWhileTheStoreIsOpen(t *testing.T) {
	onNode(t, func(s *node) {
		item := newItem(t, 1, 1, 1)
		s.importItem(item, 2)
		base := storetest.Base(s.directory, store.Key{Manifest: item.Manifest, Repository: item.Repository})
		leftover := filepath.Join(base, "set-leftover")
		if err := os.Mkdir(leftover, 0o700); err != nil {
			t.Fatal(err)
		}
		s.reopen()
		s.sleep(10 * time.Minute)
		if exists(leftover) {
			t.Error("it is still on disk")
		}
		s.wantStored(item)
	})
}

func TestWhatIsImportedAgainIsPinnedAgain(t *testing.T) {
	onNode(t, func(s *node) {
		item := newItem(t, 1, 1, 1)
		s.importItem(item, 2)
		if _, err := s.keeper.Expire(func(digest.Digest) bool { return true }); err != nil {
			t.Fatal(err)
		}
		if pinned(t, s.directory, item) {
			t.Fatal("it is pinned although its image was seen")
		}
		s.importItem(item, 0)
		if !pinned(t, s.directory, item) {
			t.Error("it is not pinned again")
		}
	})
}

// TestAnImportDuringExpiryIsPinned removes evidence between reading and pinning it.
func TestAnImportDuringExpiryIsPinned(t *testing.T) {
	onNode(t, func(s *node) {
		item := newItem(t, 1, 1, 1)
		s.importItem(item, 2)
		absent := func(digest.Digest) bool { return false }
		for _, present := range []func(digest.Digest) bool{func(digest.Digest) bool { return true }, absent} {
			if _, err := s.keeper.Expire(present); err != nil {
				t.Fatal(err)
			}
		}
		s.sleep(25 * time.Hour)
		done := make(chan error, 1)
		expired := 0
		go func() {
			var err error
			expired, err = s.keeper.Expire(absent)
			done <- err
		}()
		added, err := s.keeper.Import(item)
		if failed := <-done; err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		if expired != added/2 {
			t.Errorf("%d expired, and %d files were new", expired, added)
		}
		s.wantStored(item)
		if !pinned(t, s.directory, item) {
			t.Error("it is not pinned")
		}
	})
}

// TestWhatWasImportedOutranksTheRegistryInEveryKind makes a registry serve as many files of one kind as are read.
func TestWhatWasImportedOutranksTheRegistryInEveryKind(t *testing.T) {
	var signatures, bundles [][]byte
	filler := strings.Repeat("x", 1000<<10)
	for n := range 36 {
		signatures = append(signatures, signature{fmt.Sprint(n), simpleSigning, filler}.file(t))
		bundles = append(bundles, fmt.Appendf(nil,
			`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","x":"%d%s"}`, n, filler))
	}
	for kind, served := range map[string]evidence.Found{
		"signatures": {Files: signatures}, "bundles": {Bundles: bundles},
	} {
		for name, imported := range map[string]format.Item{
			"bundles": newItem(t, 1, 0, 3), "signatures": newItem(t, 1, 3, 0), "both": newItem(t, 1, 3, 3),
		} {
			for _, first := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s are imported, and %s served; imported first: %v", name, kind, first), func(t *testing.T) {
					outranks(t, imported, served, first)
				})
			}
		}
	}
}

func outranks(t *testing.T, imported format.Item, served evidence.Found, first bool) {
	t.Helper()
	onNode(t, func(s *node) {
		all := len(imported.Files)
		if first {
			s.importItem(imported, all)
		}
		served.Tag = "a"
		s.fetch(served)
		if !first {
			s.importItem(imported, all)
		}
		s.wantAllStored(imported)
		s.reopen()
		s.wantAllStored(imported)
		const omitted = "signatures and bundles were left out: imported ones come first"
		if detail := s.lookup().Detail; !strings.Contains(detail, omitted) {
			t.Errorf("it says %q", detail)
		}
	})
}

// storedOf expects every file of an item to be stored, and as many of the registry's as the limit permits.
func (s *node) wantAllStored(item format.Item) {
	s.t.Helper()
	got := s.storedItem()
	stored := map[digest.Digest]bool{}
	for _, d := range digestsOf(got) {
		stored[d] = true
	}
	for i, d := range digestsOf(item) {
		if !stored[d] {
			s.t.Errorf("imported file %d is not stored", i)
		}
	}
	if others := len(stored) - len(digestsOf(item)); others < 20 {
		s.t.Errorf("only %d of the registry's are stored", others)
	}
}
