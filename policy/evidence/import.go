package evidence

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// Import adds evidence that somebody brought to what is kept of its manifest in its repository, and returns how many
// of its signatures and bundles are new here. It is trusted no more than what is fetched: decisions verify it.
//
// What was imported stays, whatever a registry has. Where there are more signatures or bundles than are kept, those
// imported last stay, and of others the newest. An item that is not of the right form is refused whole; so is one that
// cannot be kept on disk.
func (k *Keeper) Import(item Item) (added int, err error) {
	item, named, err := item.checked()
	if err != nil {
		return 0, fmt.Errorf("importing evidence of %.80s in %.300s: %w", item.Manifest, item.Repository, err)
	}
	if k.disk == nil {
		return 0, fmt.Errorf("importing evidence: %w", errNoDisk)
	}
	key := key{manifest: item.Manifest, repository: item.Repository}
	k.changing.Lock()
	defer k.changing.Unlock()
	before := k.refresh(key, named)
	f := before.finding()
	added = f.lacks(item)
	f.bring(content{signatures: item.Signatures, bundles: item.Bundles, importedAt: now()})
	r := f.record(key)
	if before != nil && before.volume == k.disk && r.same(&before.record) {
		if pinned, err := k.disk.pin(before); pinned || err != nil {
			return 0, err
		}
	}
	h, err := k.write(k.disk, key, update{record: r, content: f.content, decides: true, pinned: true})
	if err != nil {
		return 0, fmt.Errorf("importing evidence of %s in %s: %w", item.Manifest, item.Repository, err)
	}
	if v := k.overflow.existing(); v != nil {
		v.drop(key)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hold(k.entry(key, named), h)
	return added, nil
}

// now returns the time as records have it.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// withImported returns what a registry has with what was imported before, if that is anything.
func (h *held) withImported(f *finding) *finding {
	if f.unchanged || h == nil || h.record.Imported.IsZero() {
		return f
	}
	before := h.finding()
	joined := *f
	_, signatures := split(before.signatures, before.imported.signatures)
	_, bundles := split(before.bundles, before.imported.bundles)
	joined.bring(content{signatures: signatures, bundles: bundles, importedAt: before.importedAt})
	return &joined
}

// finding returns what is held as what was found; nil is nothing. A file that is damaged is left out.
func (h *held) finding() *finding {
	if h == nil {
		return &finding{}
	}
	r := &h.record
	f := &finding{sources: r.Sources, detail: r.Detail, fetchedAt: r.Fetched}
	f.importedAt = r.Imported
	f.signatures, f.imported.signatures = h.contents(r.Signatures, signatureName)
	f.bundles, f.imported.bundles = h.contents(r.Bundles, bundleName)
	return f
}

// contents reads files and puts those that were imported last.
func (h *held) contents(files []file, name func(int) string) (contents [][]byte, imported int) {
	var last [][]byte
	for i, want := range files {
		content, err := readFile(filepath.Join(h.directory, name(i)), want.Size)
		switch {
		case err != nil || !want.holds(content):
		case want.Imported:
			last = append(last, content)
		default:
			contents = append(contents, content)
		}
	}
	return append(contents, last...), len(last)
}

// bring adds what was imported, and leaves out what there is no room for then.
func (f *finding) bring(imported content) {
	f.importedAt = imported.importedAt
	f.signatures, f.imported.signatures = join(f.signatures, f.imported.signatures, imported.signatures)
	f.bundles, f.imported.bundles = join(f.bundles, f.imported.bundles, imported.bundles)
	f.omitted = f.fit()
}

// join returns files, the last of which were imported before, with more imported ones: each of them once, and those
// imported last at the end.
func join(files [][]byte, imported int, more [][]byte) (all [][]byte, allImported int) {
	others, last := split(files, imported)
	last = slices.Concat(without(last, more), unique(more))
	others = without(others, last)
	return slices.Concat(others, last), len(last)
}

// without returns the files that are not among others.
func without(files, others [][]byte) [][]byte {
	return slices.DeleteFunc(slices.Clone(files), func(file []byte) bool { return among(others, file) })
}

// unique returns each file once, where it stands first.
func unique(files [][]byte) (all [][]byte) {
	for _, file := range files {
		if !among(all, file) {
			all = append(all, file)
		}
	}
	return all
}

func among(files [][]byte, file []byte) bool {
	return slices.ContainsFunc(files, func(other []byte) bool { return bytes.Equal(file, other) })
}

// lacks returns how many of an item's files are not there.
func (f *finding) lacks(item Item) int {
	return len(without(unique(item.Signatures), f.signatures)) + len(without(unique(item.Bundles), f.bundles))
}
