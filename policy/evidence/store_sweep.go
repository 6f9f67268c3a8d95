package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/go-digest"
)

// sweep walks the volume once, after a start: it enters what is there into the books, and removes what a killed
// process left behind and what no reader would accept.
func (v *volume) sweep(ctx context.Context) {
	for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		for _, manifest := range namesIn(filepath.Join(v.root, algorithm.String())) {
			parent := filepath.Join(v.root, algorithm.String(), manifest)
			for _, repository := range namesIn(parent) {
				if ctx.Err() != nil {
					return
				}
				v.sweepKey(filepath.Join(parent, repository))
			}
			// Fails while there is something in it.
			_ = os.Remove(parent)
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

func (v *volume) sweepKey(base string) {
	v.writing.Lock()
	defer v.writing.Unlock()
	r, k, err := v.recordAt(base)
	if err != nil && !errors.Is(err, errUnusable) {
		// It could not be read now; that says nothing about what is in it.
		return
	}
	if err == nil {
		v.mu.Lock()
		v.ledger.add(k, r.blocks())
		v.mu.Unlock()
	} else {
		removeAll(filepath.Join(base, recordName))
	}
	removeAll(filepath.Join(base, temporaryPrefix+recordName))
	for _, set := range v.setsIn(base) {
		if r.Set == "" || filepath.Base(set) != r.Set {
			v.retire(set)
		}
	}
	if err != nil {
		v.retire(base)
	}
}

// errUnusable says that a record was read and is none, or not the one of its place.
var errUnusable = errors.New("the record is of no use")

// recordAt returns the record in a directory and the key that it names, which is the key of that directory.
func (v *volume) recordAt(base string) (record, key, error) {
	raw, err := readFile(filepath.Join(base, recordName), maxRecord)
	if errors.Is(err, fs.ErrPermission) {
		return record{}, key{}, err
	}
	if err != nil {
		return record{}, key{}, errUnusable
	}
	var named struct {
		Manifest   digest.Digest `json:"manifest"`
		Repository string        `json:"repository"`
	}
	if json.Unmarshal(raw, &named) != nil || named.Manifest.Validate() != nil {
		return record{}, key{}, errUnusable
	}
	k := key{manifest: named.Manifest, repository: strings.Clone(named.Repository)}
	r, err := parseRecord(raw, k)
	if err != nil || v.path(k) != base {
		return record{}, key{}, errUnusable
	}
	return r, k, nil
}
