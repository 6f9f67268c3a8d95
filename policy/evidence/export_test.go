package evidence

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// What the tests of this package, which are outside it, need to reach within.

// Look stands for a registry in tests of time, which a network would keep from passing.
type Look func(repository reference.Named, manifest, known digest.Digest) (Found, error)

// Found is what a Look found.
type Found struct {
	Unchanged bool
	Files     [][]byte
	Bundles   [][]byte
	Tag       digest.Digest
}

// OpenLooking opens a Keeper that asks a Look instead of a network.
func OpenLooking(config Config, look Look) (*Keeper, error) {
	return open(config, func(
		ctx context.Context, request fetch.Request,
	) (*fetch.Result, error) {
		var tag digest.Digest
		if len(request.Known) > 0 {
			tag = request.Known[0].Digest
		}
		found, err := look(request.Repository, request.Manifest, tag)
		if err != nil {
			return nil, err
		}
		return &fetch.Result{
			Unchanged: found.Unchanged,
			Files:     filesOf(found.Files, found.Bundles),
			Sources:   []format.SourceState{{Digest: found.Tag}},
		}, ctx.Err()
	})
}

// Busy returns the error of a registry that wants to be left alone.
func Busy(after time.Duration) error {
	return &registry.BusyError{Status: http.StatusTooManyRequests, After: after}
}

func filesOf(signatures, bundles [][]byte) []format.File {
	return append(format.Files(format.KindSignature, signatures...), format.Files(format.KindBundle, bundles...)...)
}

// Location returns where evidence is kept below the directory of a Keeper.
func Location(directory string, manifest digest.Digest, repository string) string {
	return filepath.Join(directory, versionDirectory, key{manifest: manifest, repository: repository}.path())
}

// Write keeps signatures as a Keeper does, in a volume that it opens.
func Write(directory string, manifest digest.Digest, repository string, files [][]byte) error {
	return WriteBoth(directory, manifest, repository, files, nil)
}

// WriteBoth keeps signatures and bundles.
func WriteBoth(directory string, manifest digest.Digest, repository string, signatures, bundles [][]byte) error {
	k := key{manifest: manifest, repository: repository}
	f := &finding{content: content{files: filesOf(signatures, bundles)}}
	_, _, err := newVolume(filepath.Join(directory, versionDirectory), 1<<30).write(
		k, update{record: f.record(k), content: f.content, decides: true},
	)
	return err
}

// Store is a volume on its own.
type Store struct{ volume *volume }

// NewStore returns the volume in a directory.
func NewStore(directory string, limit int64) Store { return Store{newVolume(directory, limit)} }

// Write stores signatures.
func (s Store) Write(manifest digest.Digest, repository string, files [][]byte) error {
	k := key{manifest: manifest, repository: repository}
	f := &finding{content: content{files: filesOf(files, nil)}}
	_, _, err := s.volume.write(k, update{record: f.record(k), content: f.content, decides: true})
	return err
}

// NewLedger returns a function that enters one more item into a full ledger of as many registries, and evicts for it.
func NewLedger(registries int) (evict func(n int)) {
	l := newLedger()
	at := func(n int) key {
		return key{manifest: digest.FromString(strconv.Itoa(n)), repository: fmt.Sprintf("%d.example/app", n)}
	}
	for n := range registries {
		l.set(at(n), 1, n%2 == 0)
	}
	return func(n int) {
		k := at(registries + n)
		l.victims(k, 1, int64(registries), true)
		l.set(k, 1, n%2 == 0)
	}
}

// Sweep does what a start does with what an earlier process left.
func Sweep(directory string) {
	v := newVolume(filepath.Join(directory, versionDirectory), 1<<30)
	v.sweep(context.Background())
	v.reap(time.Now(), true)
}

// ParseRecord parses a record.json.
func ParseRecord(raw []byte, manifest digest.Digest, repository string) (files int, err error) {
	r, err := parseRecord(raw, key{manifest: manifest, repository: repository})
	return len(r.Signatures), err
}
