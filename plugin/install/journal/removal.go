package journal

import "os"

// Removal undoes all transactions.
type Removal struct {
	journal *Journal
	changes []Change
	trees   []string
}

// Remove starts a removal: each path gets the state that changes has for it, in their order, and then the trees are
// removed with all that is in them. A removal that is interrupted is completed by [Journal.Recover].
func (j *Journal) Remove(changes []Change, trees []string) (*Removal, error) {
	return &Removal{journal: j, changes: changes, trees: trees}, j.start(true, changes, trees)
}

// Apply makes the next changes, as many as n.
func (r *Removal) Apply(n int) error {
	for _, change := range r.changes[:n] {
		if err := r.journal.host.Set(change); err != nil {
			return err
		}
	}
	r.changes = r.changes[n:]
	return nil
}

// Commit removes the trees, and then the state directory.
func (r *Removal) Commit() error { return r.journal.removeTrees(r.trees) }

func (j *Journal) removeTrees(trees []string) error {
	for _, tree := range trees {
		if err := j.host.removeTree(tree); err != nil {
			return err
		}
	}
	return j.clear()
}

// removeTree removes a directory and its contents. It does not follow symlinks below it.
func (h *Host) removeTree(tree string) error {
	place, err := h.locate(tree)
	if err != nil {
		return err
	}
	h.step()
	return os.RemoveAll(place)
}
