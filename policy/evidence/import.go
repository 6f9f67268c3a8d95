package evidence

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/countersign/countersign/policy/evidence/format"
)

// Import adds evidence that somebody brought to what is stored of its manifest in its repository, and returns how many
// of its signatures and bundles are new here. It is trusted no more than what is fetched: decisions verify it.
//
// What was imported stays, whatever a registry has. Where there are more signatures or bundles than are kept, those
// imported last stay, and of others the newest. An item that is not of the right form is refused whole; so is one that
// cannot be kept on disk.
func (k *Keeper) Import(item format.Item) (added int, err error) {
	item, named, err := item.Checked()
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
	added = len(format.Without(format.Unique(item.Files), f.files))
	f.bring(item.Files, now())
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
	_, imported := format.Split(before.files)
	joined.bring(imported, before.importedAt)
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
	var imported []format.File
	for want := range r.files() {
		raw, err := readFile(filepath.Join(h.directory, want.name), want.Size)
		if err != nil || !want.holds(raw) {
			continue
		}
		read := format.File{Kind: want.kind, Bytes: raw, Imported: want.Imported}
		if read.Imported {
			imported = append(imported, read)
		} else {
			f.files = append(f.files, read)
		}
	}
	f.files = append(f.files, imported...)
	return f
}

// bring adds files that were imported at a time, each of them once and those imported last at the end, and leaves out
// what there is no room for then.
func (f *finding) bring(files []format.File, at time.Time) {
	f.importedAt = at
	more := format.Unique(files)
	for i := range more {
		more[i].Imported = true
	}
	others, imported := format.Split(f.files)
	imported = slices.Concat(format.Without(imported, more), more)
	f.files, f.omitted = format.Trim(slices.Concat(format.Without(others, imported), imported))
}
