package files

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/countersign/countersign/policy"
)

// target is a file to check. The system policy and the cluster document have no namespace.
type target struct {
	namespace, path string
	record          *record
	symlink, listed bool
	// cluster says that it is the cluster document.
	cluster bool
}

// known returns the record of the file, or an empty one.
func (t target) known() *record {
	if t.record == nil {
		return &record{}
	}
	return t.record
}

// checkFiles checks all targets concurrently.
func (s *state) checkFiles(targets []target, reads *keyReads, dirty map[string]bool) []fileCheck {
	checks := make([]fileCheck, len(targets))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(targets)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(targets)); i = next.Add(1) - 1 {
				checks[i] = s.checkFile(targets[i], reads, dirty)
			}
		})
	}
	workers.Wait()
	return checks
}

// checkFile checks one target.
func (s *state) checkFile(t target, reads *keyReads, dirty map[string]bool) fileCheck {
	if t.namespace != "" && !t.listed {
		return fileCheck{state: missing}
	}
	old := t.known()
	l := fileCheck{symlink: t.symlink}
	stale := slices.ContainsFunc(old.keys, func(path string) bool { return dirty[path] })
	id, err := inspect(t.path, documentLimit)
	if err == nil && !stale && old.isCurrent(id) {
		l.state = unchanged
		return l
	}
	var raw []byte
	if err == nil {
		raw, id, err = read(t.path, documentLimit)
	}
	if err != nil {
		return s.unreadable(t, l, err)
	}
	l.observed = old.observe(id, raw, reads.now)
	if !stale && old.sum == l.observed.sum && old.sum != [sha256.Size]byte{} {
		l.state = same
		return l
	}
	l.state = parsed
	l.document, l.keys, l.err = reads.parse(&s.config, raw)
	setPath(t.path, &l)
	return l
}

// unreadable completes the check of a file that could not be read.
func (s *state) unreadable(t target, l fileCheck, err error) fileCheck {
	_, there := os.Lstat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		if (t.namespace != "" || t.cluster) && errors.Is(there, fs.ErrNotExist) {
			return fileCheck{state: missing} // A namespace's was deleted after the directory was listed.
		}
		if there == nil {
			err = errors.New("it is a symlink to a file that does not exist")
		}
	}
	l.state, l.err = unreadable, fmt.Errorf("reading policy %s: %w", t.path, err)
	return l
}

// setPath adds the path of the file to the parser's document or error.
func setPath(path string, l *fileCheck) {
	if l.err == nil && l.document == nil {
		l.err = errors.New("the parser returned no document") // A bug, which must deny.
	}
	if l.err != nil {
		at := path
		if position, ok := errors.AsType[*policy.PositionError](l.err); ok {
			at = fmt.Sprintf("%s:%d:%d", path, position.Line, position.Column)
		}
		l.err = fmt.Errorf("parsing policy %s: %s", at, strings.ReplaceAll(l.err.Error(), "\n", " "))
		return
	}
	named := *l.document
	named.Name = path
	l.document = &named
}
