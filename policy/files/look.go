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

// target is a file to look at. The system's has no namespace.
type target struct {
	namespace, path string
	record          *record
	symlink, listed bool
}

// known returns what is known of the file, which may be nothing.
func (t target) known() *record {
	if t.record == nil {
		return &record{}
	}
	return t.record
}

// look looks at all targets, with as many goroutines as may run at once.
func (s *state) look(targets []target, reads *keyReads, dirty map[string]bool) []look {
	looks := make([]look, len(targets))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(targets)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(targets)); i = next.Add(1) - 1 {
				looks[i] = s.lookAt(targets[i], reads, dirty)
			}
		})
	}
	workers.Wait()
	return looks
}

// lookAt looks at one target.
func (s *state) lookAt(t target, reads *keyReads, dirty map[string]bool) look {
	if t.namespace != "" && !t.listed {
		return look{finding: missing}
	}
	old := t.known()
	l := look{symlink: t.symlink}
	stale := slices.ContainsFunc(old.keys, func(path string) bool { return dirty[path] })
	id, err := inspect(t.path, documentLimit)
	if err == nil && !stale && old.vouches(id) {
		l.finding = unchanged
		return l
	}
	var raw []byte
	if err == nil {
		raw, id, err = read(t.path, documentLimit)
	}
	if err != nil {
		return s.unreadable(t, l, err)
	}
	l.seen = old.sight(id, raw, reads.now)
	if !stale && old.sum == l.seen.sum && old.sum != [sha256.Size]byte{} {
		l.finding = same
		return l
	}
	l.finding = parsed
	l.document, l.keys, l.err = reads.parse(&s.config, raw)
	s.name(t.path, &l)
	return l
}

// unreadable completes a look at a file that could not be read.
func (s *state) unreadable(t target, l look, err error) look {
	_, there := os.Lstat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		if t.namespace != "" && errors.Is(there, fs.ErrNotExist) {
			return look{finding: missing} // Since the directory was listed.
		}
		if there == nil {
			err = errors.New("it is a symlink to what is not there")
		}
	}
	l.finding, l.err = unreadable, fmt.Errorf("reading policy %s: %w", t.path, err)
	return l
}

// name completes what the parser returned, which knows no paths.
func (s *state) name(path string, l *look) {
	if l.err == nil && l.document == nil {
		l.err = errors.New("the parser returned no document") // A fault of ours, which must deny.
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
