package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

// sweep walks the volume once, after a start: it counts what is stored, and removes what a killed process left behind
// and what no reader would accept.
func (v *volume) sweep(ctx context.Context) {
	for base := range bases(v.root) {
		if ctx.Err() != nil {
			return
		}
		v.sweepKey(base)
	}
	for parent := range manifestsIn(v.root) {
		v.sweepManifest(parent)
	}
}

// sweepManifest removes a manifest's directory if it is empty. Nobody writes into it meanwhile.
func (v *volume) sweepManifest(parent string) {
	v.writing.Lock()
	defer v.writing.Unlock()
	_ = os.Remove(parent)
}

// bases yields the directories below a version's that belong to a key, with its manifest.
func bases(root string) iter.Seq2[string, digest.Digest] {
	return func(yield func(string, digest.Digest) bool) {
		for parent, manifest := range manifestsIn(root) {
			for _, repository := range namesIn(parent) {
				if !yield(filepath.Join(parent, repository), manifest) {
					return
				}
			}
		}
	}
}

// manifestsIn yields the directories below a version's that belong to a manifest.
func manifestsIn(root string) iter.Seq2[string, digest.Digest] {
	return func(yield func(string, digest.Digest) bool) {
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
			for _, encoded := range namesIn(filepath.Join(root, algorithm.String())) {
				manifest := digest.NewDigestFromEncoded(algorithm, encoded)
				if !yield(filepath.Join(root, algorithm.String(), encoded), manifest) {
					return
				}
			}
		}
	}
}

// namesIn returns the names of the directories in a directory, as far as they can be read.
func namesIn(directory string) []string {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}

// sweepKey counts what is in the directory of a key, or removes it if no reader would accept it. The pin of an import
// stays: the sweep must not undo an import, whether or not its record was written.
func (v *volume) sweepKey(base string) {
	v.writing.Lock()
	defer v.writing.Unlock()
	r, k, err := recordAt(v.root, base)
	if err != nil && !errors.Is(err, errUnusable) {
		// It cannot be read at present, which does not mean that it is damaged.
		return
	}
	if err == nil {
		v.enter(k, &r)
	} else {
		removeAll(filepath.Join(base, recordName))
		if !readPresence(base).Awaited {
			removeAll(filepath.Join(base, presenceName))
		}
	}
	removeAll(filepath.Join(base, temporaryPrefix+recordName))
	for _, set := range v.setsIn(base) {
		if name := filepath.Base(set); name != r.Set && name != r.Satisfied.Set {
			v.supersede(set)
		}
	}
	if err != nil {
		v.supersede(base)
	}
}

// errUnusable reports a record that was read and is invalid, or belongs to another directory.
var errUnusable = errors.New("the record is unusable")

// recordAt returns the record in a directory and the key that it names, which is the key of that directory.
func recordAt(root, base string) (record, Key, error) {
	raw, err := readFile(filepath.Join(base, recordName), maxRecord)
	if errors.Is(err, fs.ErrPermission) {
		return record{}, Key{}, err
	}
	if err != nil {
		return record{}, Key{}, fmt.Errorf("%w: %w", errUnusable, err)
	}
	var named struct {
		Manifest   digest.Digest `json:"manifest"`
		Repository string        `json:"repository"`
	}
	if err := json.Unmarshal(raw, &named); err != nil {
		return record{}, Key{}, fmt.Errorf("%w: %w", errUnusable, err)
	}
	if err := named.Manifest.Validate(); err != nil {
		return record{}, Key{}, fmt.Errorf("%w: %w", errUnusable, err)
	}
	k := Key{Manifest: named.Manifest, Repository: strings.Clone(named.Repository)}
	r, err := parseRecord(raw, k)
	if err != nil {
		return record{}, Key{}, fmt.Errorf("%w: %w", errUnusable, err)
	}
	if filepath.Join(root, k.path()) != base {
		return record{}, Key{}, fmt.Errorf("%w: it belongs to another directory", errUnusable)
	}
	return r, k, nil
}
