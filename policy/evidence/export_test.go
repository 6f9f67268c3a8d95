package evidence

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

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
		ctx context.Context, repository reference.Named, manifest digest.Digest, known []source,
	) (*finding, error) {
		var tag digest.Digest
		if len(known) > 0 {
			tag = known[0].Digest
		}
		found, err := look(repository, manifest, tag)
		if err != nil {
			return nil, err
		}
		return &finding{
			unchanged: found.Unchanged,
			content:   content{files: filesOf(found.Files, found.Bundles)},
			sources:   []source{{Digest: found.Tag}},
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

// ParseLayers parses the manifest under a signatures' tag.
func ParseLayers(raw []byte) (layers, omitted int, err error) {
	found, omitted, err := parseLayers(raw)
	return len(found), omitted, err
}

// LookasideBase returns where the signatures of a repository lie, by a directory of registries.d.
func LookasideBase(directory string, repository reference.Named) (*url.URL, error) {
	all, err := readLookasides(directory)
	if err != nil {
		return nil, err
	}
	return all.base(repository)
}

// ParseLookasides parses a file of registries.d and returns where the signatures of a repository lie.
func ParseLookasides(raw []byte, repository reference.Named) (*url.URL, error) {
	all := newLookasides()
	all.add("registry.yaml", raw)
	return all.base(repository)
}

// LookasideProblems returns how many things are wrong with a file of registries.d.
func LookasideProblems(raw []byte) int {
	all := newLookasides()
	all.add("registry.yaml", raw)
	return len(all.problems)
}

// ParseReferrers parses a list of referrers and returns those that are to be looked at, in that order, what identifies
// the list and how many were left out.
func ParseReferrers(raw []byte) (ordered []digest.Digest, list digest.Digest, bad int, err error) {
	parsed := &referrers{}
	err = parsed.add(raw)
	for _, listed := range parsed.ordered() {
		ordered = append(ordered, listed.Digest)
	}
	return ordered, parsed.digest(), parsed.bad.count, err
}

// HeldOfReferrers parses a list of referrers and returns how many bytes of text are held of it.
func HeldOfReferrers(raw []byte) (held int, err error) {
	parsed := &referrers{}
	err = parsed.add(raw)
	for _, listed := range parsed.candidates {
		text, _ := json.Marshal(listed)
		held += len(text)
	}
	return held, err
}

// RememberedReferrers returns of how many manifests it is remembered what they hold.
func RememberedReferrers(f *Fetcher) int { return f.attached.Len() }

// ParseAttached parses the manifest of a referrer and returns its subject and its bundles.
func ParseAttached(raw []byte) (subject digest.Digest, bundles []digest.Digest, err error) {
	holds, err := parseAttached(raw)
	if err != nil {
		return "", nil, err
	}
	for _, bundle := range holds.bundles {
		bundles = append(bundles, bundle.Digest)
	}
	return holds.subject, bundles, nil
}

// NextLink returns the target of the link to the next page.
func NextLink(value string) string { return nextLink(http.Header{"Link": {value}}) }
