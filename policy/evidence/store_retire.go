package evidence

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// retire has paths removed when nobody can be reading them any more.
func (v *volume) retire(paths ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	due := time.Now().Add(grace)
	for _, path := range paths {
		if _, waiting := v.retiring[path]; !waiting {
			v.retiring[path] = struct{}{}
			v.retired = append(v.retired, retired{path: path, due: due})
		}
	}
}

// reap removes what was retired and is due, or everything, and returns when there is more to do; zero: there is not.
func (v *volume) reap(now time.Time, everything bool) time.Time {
	v.writing.Lock()
	defer v.writing.Unlock()
	v.mu.Lock()
	due := v.retired
	if !everything {
		n := slices.IndexFunc(due, func(r retired) bool { return r.due.After(now) })
		if n >= 0 {
			due = due[:n]
		}
	}
	v.retired = v.retired[len(due):]
	for _, r := range due {
		delete(v.retiring, r.path)
	}
	v.mu.Unlock()
	for _, r := range due {
		v.clear(r.path)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.retired) == 0 {
		return time.Time{}
	}
	return v.retired[0].due
}

// clear removes a set, or the directories of a key that are empty by now: it may have come back meanwhile.
func (v *volume) clear(path string) {
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
