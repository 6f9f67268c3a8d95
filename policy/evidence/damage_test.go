package evidence_test

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/evidence/store/storetest"
)

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// baseOf returns where the evidence of a manifest in a repository is stored.
func baseOf(directory, manifest, repository string) string {
	return storetest.Base(directory, store.Key{Manifest: manifestOf(manifest), Repository: repository})
}

func TestDamagedEvidenceIsAbsentAndFetchedAgain(t *testing.T) {
	for name, damage := range storetest.Damages() {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			m := manifestOf("image")
			r.sign(t, "app", m, signed(1), signed(2))
			named, config := r.named(t, "app"), evidence.Config{Directory: t.TempDir()}
			before := open(t, config)
			first := fetched(t, before, named, m)
			before.Close()
			damage(storetest.Place{T: t, Base: baseOf(config.Directory, "image", named.Name()), Set: first.Directory})

			read := evidence.Read(config.Directory)(manifests(m), named)[0]
			if read.State != policy.Unknown || read.Signatures != 0 || read.Directory != "" {
				t.Errorf("to another process it is %+v", read)
			}
			keeper := open(t, config)
			got := fetched(t, keeper, named, m)
			if got.State != policy.Found || got.Signatures != 2 || len(filesIn(t, got.Directory)) != 2 {
				t.Fatalf("fetched again: %+v", got)
			}
			keeper.Close()
			if got := evidence.Read(config.Directory)(manifests(m), named)[0]; got.State != policy.Found {
				t.Errorf("after a restart: %+v", got)
			}
		})
	}
}

func TestEvidenceDamagedAtRunTimeIsFetchedAgain(t *testing.T) {
	for name, damage := range storetest.Damages() {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			m := manifestOf("image")
			r.sign(t, "app", m, signed(1), signed(2))
			named, config := r.named(t, "app"), evidence.Config{Directory: t.TempDir()}
			keeper := open(t, config)
			first := fetched(t, keeper, named, m)
			damage(storetest.Place{T: t, Base: baseOf(config.Directory, "image", named.Name()), Set: first.Directory})
			got := fetched(t, keeper, named, m)
			if got.State != policy.Found {
				t.Fatalf("%+v", got)
			}
			want := []string{string(signed(1).file(t)), string(signed(2).file(t))}
			if files := filesIn(t, got.Directory); len(files) != 2 || files[0] != want[0] || files[1] != want[1] {
				t.Error("it is still damaged")
			}
		})
	}
}

func TestDirectoriesThatChangedPlacesAreAbsent(t *testing.T) {
	r := newRegistry(t)
	one, other := manifestOf("one"), manifestOf("other")
	r.sign(t, "app", one, signed(1))
	r.sign(t, "app", other, signed(2))
	r.sign(t, "app2", one, signed(3))
	named, named2 := r.named(t, "app"), r.named(t, "app2")
	for name, pair := range map[string]struct {
		a, b     reference.Named
		manifest string
	}{
		"of two manifests":    {named, named, "other"},
		"of two repositories": {named, named2, "one"},
	} {
		t.Run(name, func(t *testing.T) {
			second := manifestOf(pair.manifest)
			config := evidence.Config{Directory: t.TempDir()}
			keeper := open(t, config)
			fetched(t, keeper, pair.a, one)
			fetched(t, keeper, pair.b, second)
			storetest.Place{T: t}.Swap(baseOf(config.Directory, "one", pair.a.Name()),
				baseOf(config.Directory, pair.manifest, pair.b.Name()))
			if got := lookup(keeper, pair.a, one); got.State != policy.Unknown {
				t.Errorf("at run time: %+v", got)
			}
			if got := evidence.Read(config.Directory)(manifests(second), pair.b)[0]; got.State != policy.Unknown {
				t.Errorf("to another process: %+v", got)
			}
			if got := fetched(t, keeper, pair.a, one); got.State != policy.Found {
				t.Errorf("fetched again: %+v", got)
			}
		})
	}
}
