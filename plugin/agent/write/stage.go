package write

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// parallel is how many files are written at a time. Most of the time is spent in fsync, and a disk syncs several files
// in the time of one.
const parallel = 16

// staged are documents that are being written to temporary files.
type staged struct {
	slots   chan struct{}
	running sync.WaitGroup

	mu        sync.Mutex
	steps     []step
	conflicts []Conflict
	// failed is the first error, and more counts the others.
	failed error
	more   int
}

func newStaged() *staged { return &staged{slots: make(chan struct{}, parallel)} }

// Stage starts to write the document of a namespace to a temporary file. [Writer.Apply] waits until all staged files
// are synced, and then renames them. Stage waits while many files are being written, so that few documents are in
// memory. Before an Apply, a namespace is staged at most once.
func (w *Writer) Stage(namespace string, document Document) {
	s := w.staged
	s.slots <- struct{}{}
	s.running.Go(func() {
		defer func() { <-s.slots }()
		planned, conflict, err := w.plan(namespace, document)
		if err != nil {
			err = fmt.Errorf("comparing a document with that on disk: %w", err)
		} else if planned != nil && !planned.removes() {
			err = w.disk.create(planned.temporary(), document.JSON)
		}
		s.add(planned, conflict, err)
	})
}

func (s *staged) add(planned *step, conflict *Conflict, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if conflict != nil {
		s.conflicts = append(s.conflicts, *conflict)
	}
	switch {
	case err != nil && s.failed == nil:
		s.failed = err
	case err != nil:
		s.more++
	case planned != nil:
		s.steps = append(s.steps, *planned)
	}
}

// wait waits until all files are synced, and returns the steps that put them in place. The error is about those that
// could not be written.
func (s *staged) wait() (steps, error) {
	s.running.Wait()
	if s.more > 0 {
		s.failed = fmt.Errorf("%w (and %d more errors)", s.failed, s.more)
	}
	return inOrder(s.steps), s.failed
}

// discard removes documents that were not put in place.
func (s *staged) discard() {
	for _, planned := range s.steps {
		if !planned.removes() {
			_ = os.Remove(planned.temporary()) // It was put in place, or the next write replaces it.
		}
	}
}

var errChanged = errors.New("another process has just changed it")
