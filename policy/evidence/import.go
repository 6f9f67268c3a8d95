package evidence

import (
	"fmt"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
)

// Import adds evidence that an operator brought to what is stored of its manifest in its repository, and returns how
// many of its signatures and bundles are new. It is trusted no more than fetched evidence: decisions verify it.
//
// No fetch removes imported evidence. If there are more signatures or bundles than are stored, the last imported ones
// stay, and of others the newest. An item that is malformed is refused as a whole; so is one that cannot be stored on
// disk.
func (k *Keeper) Import(item format.Item) (added int, err error) {
	item, named, err := item.Checked()
	if err != nil {
		return 0, fmt.Errorf("importing evidence of %.80s in %.300s: %w", item.Manifest, item.Repository, err)
	}
	if !k.store.HasDisk() {
		return 0, fmt.Errorf("importing evidence: %w", store.ErrNoDisk)
	}
	key := store.Key{Manifest: item.Manifest, Repository: item.Repository}
	k.changing.Lock()
	defer k.changing.Unlock()
	before := k.refresh(key, named)
	content := before.Content()
	added = len(format.Without(format.Unique(item.Files), content.Files))
	content = withImports(content, item.Files, now())
	if before != nil && before.Equal(content) {
		if pinned, err := k.store.Pin(before); pinned || err != nil {
			return 0, err
		}
	}
	set, removed, err := k.store.Import(key, content)
	k.forget(removed)
	if err != nil {
		return 0, fmt.Errorf("importing evidence of %s in %s: %w", item.Manifest, item.Repository, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.setStored(k.entry(key, named), set)
	return added, nil
}
