package store

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// removalDelay is how long superseded files stay. A decision that reads them received their path at most its deadline
// ago, which is far shorter.
const removalDelay = 10 * time.Second

// supersede has paths removed when no decision can be reading them any more.
func (v *volume) supersede(paths ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	due := time.Now().Add(removalDelay)
	for _, path := range paths {
		if _, pending := v.pending[path]; !pending {
			v.pending[path] = struct{}{}
			v.superseded = append(v.superseded, superseded{path: path, due: due})
		}
	}
}

// removeSuperseded removes what is due, or everything, and returns when more is due; zero: nothing is.
func (v *volume) removeSuperseded(now time.Time, everything bool) time.Time {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.mu.Lock()
	due := v.superseded
	if !everything {
		n := slices.IndexFunc(due, func(s superseded) bool { return s.due.After(now) })
		if n >= 0 {
			due = due[:n]
		}
	}
	v.superseded = v.superseded[len(due):]
	for _, s := range due {
		delete(v.pending, s.path)
	}
	v.mu.Unlock()
	for _, s := range due {
		v.removePath(s.path)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.superseded) == 0 {
		return time.Time{}
	}
	return v.superseded[0].due
}

// removePath removes a set, or those directories of a key that are empty: new evidence may have been stored meanwhile.
func (v *volume) removePath(path string) {
	if strings.HasPrefix(filepath.Base(path), setPrefix) {
		removeAll(path)
		return
	}
	for ; len(path) > len(v.root); path = filepath.Dir(path) {
		if os.Remove(path) != nil {
			return
		}
	}
}
