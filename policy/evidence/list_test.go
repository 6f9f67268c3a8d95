package evidence_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
)

func list(t *testing.T, directory string) []evidence.Stored {
	t.Helper()
	stored, err := evidence.List(directory)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func TestAStoreIsListedWhileItsOwnerWorks(t *testing.T) {
	inStore(t, func(s *store) {
		files := format.Contents(brought(t, 1, 2, 0).Files, format.KindSignature)
		s.fetch(evidence.Found{Files: files, Tag: manifestOf("tag")})
		s.sleep(time.Hour)
		s.bring(brought(t, 5, 0, 1), 1)
		fetched := s.start.UTC()
		size := 0
		for _, file := range append(format.Contents(brought(t, 1, 2, 0).Files, format.KindSignature), bundle(5)) {
			size += len(file)
		}
		want := []evidence.Stored{{
			Manifest: manifestOf("image"), Repository: storeRepository, State: policy.Found,
			Signatures: 2, Bundles: 1, Imported: 1, Size: int64(size),
			Fetched: fetched, ImportedAt: fetched.Add(time.Hour), Sources: []evidence.Source{{}},
		}}
		got := list(t, s.directory)
		ignored := cmp.Options{
			cmpopts.IgnoreUnexported(evidence.Stored{}), cmpopts.IgnoreFields(evidence.Stored{}, "Directory"),
		}
		if diff := cmp.Diff(want, got, ignored); diff != "" {
			t.Errorf("it is listed as (-want +got):\n%s", diff)
		}
		if entries, err := os.ReadDir(got[0].Directory); err != nil || len(entries) != 3 {
			t.Errorf("its directory has %v, %v", entries, err)
		}
	})
}

func TestAListIsInTheOrderOfRepositoriesAndManifests(t *testing.T) {
	directory := t.TempDir()
	keeper := open(t, evidence.Config{Directory: directory})
	var want []string
	for _, repository := range []string{"a.example/a", "a.example/b", "b.example/a"} {
		for range 3 {
			want = append(want, repository)
		}
	}
	for _, repository := range []string{"b.example/a", "a.example/b", "a.example/a"} {
		for _, image := range []string{"one", "two", "three"} {
			item := brought(t, 1, 1, 0)
			item.Repository, item.Manifest = repository, manifestOf(image)
			if _, err := keeper.Import(item); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	var before evidence.Stored
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

func TestWhatIsDamagedIsListedAsDamaged(t *testing.T) {
	for name, damage := range damages() {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			if err := evidence.Write(directory, manifestOf("image"), storeRepository, generation(4)); err != nil {
				t.Fatal(err)
			}
			base := evidence.Location(directory, manifestOf("image"), storeRepository)
			damage(place{t: t, base: base, set: list(t, directory)[0].Directory})
			for _, stored := range list(t, directory) {
				if stored.Damage == nil || stored.State != policy.Unknown {
					t.Errorf("it is listed as %+v", stored)
				}
				if stored.Manifest != manifestOf("image") || !strings.HasPrefix(stored.Directory, base) {
					t.Errorf("it is said to be of %s in %s", stored.Manifest, stored.Directory)
				}
				if _, err := stored.Item(); !errors.Is(err, stored.Damage) {
					t.Errorf("its files can be read: %v", err)
				}
			}
		})
	}
}

func TestWhatIsReplacedAfterItWasListedCannotBeReadAsThat(t *testing.T) {
	directory := t.TempDir()
	if err := evidence.Write(directory, manifestOf("image"), storeRepository, generation(4)); err != nil {
		t.Fatal(err)
	}
	stored := list(t, directory)[0]
	write(t, filepath.Join(stored.Directory, "signature-1"), string(generation(9)[0]))
	if _, err := stored.Item(); err == nil {
		t.Error("other bytes were read")
	}
}

func TestADirectoryThatIsNotThereHoldsNothing(t *testing.T) {
	if got := list(t, filepath.Join(t.TempDir(), "absent")); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestADirectoryThatCannotBeReadIsAnError(t *testing.T) {
	if _, err := evidence.List(nowhere(t)); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("it is %v", err)
	}
	if _, err := os.Stat(nowhere(t)); err == nil {
		t.Error("it was made")
	}
}
