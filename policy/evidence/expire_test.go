package evidence_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
)

// pass has hours pass in which the daemon asks what is present, and returns how many manifests' evidence expired.
func (s *node) pass(hours int, present bool) (expired int) {
	s.t.Helper()
	for range hours {
		s.sleep(time.Hour)
		n, err := s.keeper.Expire(func(manifest digest.Digest) bool {
			if manifest != manifestOf("image") {
				s.t.Errorf("it asks for %s", manifest)
			}
			return present
		})
		if err != nil {
			s.t.Fatal(err)
		}
		expired += n
	}
	return expired
}

// left returns how many directories are on disk.
func (s *node) left() int {
	s.t.Helper()
	stored, err := store.List(s.directory)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(stored)
}

func (s *node) has(want int, otherwise string) {
	s.t.Helper()
	if got := s.left(); got != want {
		s.t.Errorf("%s: %d are left, not %d", otherwise, got, want)
	}
}

func TestEvidenceOfAnImageThatLeftGoesAfterADay(t *testing.T) {
	onNode(t, func(s *node) {
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 1, 1, 0).Files, format.KindSignature), Tag: "a"})
		s.pass(100, true)
		s.has(1, "it was here for 100 hours")
		s.pass(24, false)
		s.has(1, "it was found to be absent 23 hours ago")
		before := s.lookup()
		if expired := s.pass(1, false); expired != 1 {
			t.Errorf("%d expired", expired)
		}
		s.has(0, "it was absent for a day")
		s.set(evidence.Found{}, errDown)
		if after := s.lookup(); after.State != policy.Unknown || after.Generation == before.Generation {
			t.Errorf("it says %+v after %+v", after, before)
		}
		s.sleep(time.Minute)
		if _, err := os.Stat(before.Directory); !os.IsNotExist(err) {
			t.Errorf("its files are still there: %v", err)
		}
		if _, err := os.Stat(filepath.Join(s.directory, "v1")); err != nil {
			t.Errorf("more than its files was removed: %v", err)
		}
	})
}

func TestAnImageThatCameBackHasItsEvidenceForAnotherDay(t *testing.T) {
	onNode(t, func(s *node) {
		s.fetch(evidence.Found{Tag: "a"})
		for range 5 {
			s.pass(23, false)
			s.has(1, "it was absent for 22 hours")
			s.pass(1, true)
		}
	})
}

func TestAnAbsenceOutlivesRestarts(t *testing.T) {
	onNode(t, func(s *node) {
		s.fetch(evidence.Found{Tag: "a"})
		for range 24 {
			s.pass(1, false)
			s.reopen()
		}
		s.has(1, "it was found to be absent 23 hours ago")
		s.pass(1, false)
		s.has(0, "it was absent for a day")
	})
}

func TestAClockThatWasSetBackDoesNotKeepEvidenceForEver(t *testing.T) {
	onNode(t, func(s *node) {
		s.fetch(evidence.Found{Tag: "a"})
		s.pass(1, false)
		path := filepath.Join(baseOf(s.directory, "image", testRepository), "presence.json")
		write(t, path, `{"absent_since":"2999-01-01T00:00:00Z"}`)
		s.pass(25, false)
		s.has(0, "it was absent for a day")
	})
}

func TestWhatIsNotUnderstoodOfAnAbsenceBeginsItAgain(t *testing.T) {
	for _, content := range []string{"", "{", `{"absent_since":"yesterday"}`, "[]"} {
		onNode(t, func(s *node) {
			s.fetch(evidence.Found{Tag: "a"})
			path := filepath.Join(baseOf(s.directory, "image", testRepository), "presence.json")
			write(t, path, content)
			s.pass(24, false)
			s.has(1, "it was found to be absent 23 hours ago")
			s.pass(1, false)
			s.has(0, "it was absent for a day")
		})
	}
}

func TestImportedEvidenceWaitsForItsImage(t *testing.T) {
	onNode(t, func(s *node) {
		s.importItem(newItem(t, 1, 1, 1), 2)
		s.pass(1000, false)
		s.reopen()
		s.pass(1000, false)
		s.has(1, "its image has not come yet")
		s.pass(1, true)
		s.pass(24, false)
		s.has(1, "its image left 23 hours ago")
		s.importItem(newItem(t, 1, 1, 1), 0)
		s.pass(100, false)
		s.has(1, "it was imported again")
		s.pass(1, true)
		s.pass(25, false)
		s.has(0, "its image left a day ago")
	})
}

func TestNothingIsWrittenWhereNothingChanged(t *testing.T) {
	onNode(t, func(s *node) {
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 1, 1, 0).Files, format.KindSignature), Tag: "a"})
		base := baseOf(s.directory, "image", testRepository)
		for name, present := range map[string]bool{"present": true, "absent": false} {
			s.pass(1, present)
			before := look(t, base)
			s.pass(5, present)
			if after := look(t, base); after != before {
				t.Errorf("%s: something was written", name)
			}
		}
	})
}

// look returns when a directory and what is in it were last changed.
func look(t *testing.T, directory string) (latest time.Time) {
	t.Helper()
	err := filepath.WalkDir(directory, func(_ string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.ModTime().After(latest) {
			latest = info.ModTime()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return latest
}

func TestWhatExpiredIsGoneFromMemoryToo(t *testing.T) {
	onNode(t, func(s *node) {
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 1, 1, 0).Files, format.KindSignature), Tag: "a"})
		s.pass(25, false)
		s.fetch(evidence.Found{Files: format.Contents(newItem(t, 2, 1, 0).Files, format.KindSignature), Tag: "a"})
		s.wantStored(newItem(t, 2, 1, 0))
		s.pass(10, false)
		s.has(1, "its absence begins again")
	})
}

// TestAnImportDuringExpiryIsStored: importing the same file again adds nothing new, but pins the evidence.
func TestAnImportDuringExpiryIsStored(t *testing.T) {
	for range 50 {
		onNode(t, func(s *node) {
			item := newItem(t, 1, 20, 20)
			if _, err := s.keeper.Import(item); err != nil {
				t.Fatal(err)
			}
			s.pass(1, true)
			s.pass(24, false)
			s.sleep(time.Hour)
			expired := make(chan error)
			go func() {
				_, err := s.keeper.Expire(func(digest.Digest) bool { return false })
				expired <- err
			}()
			_, err := s.keeper.Import(item)
			if err := errors.Join(err, <-expired); err != nil {
				t.Fatal(err)
			}
			s.has(1, "it was imported again")
		})
	}
}
