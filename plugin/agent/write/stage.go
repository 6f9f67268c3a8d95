package write

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// parallel is how many files are written at once: what takes the time is waiting for the disk, which makes several
// files durable as fast as one.
const parallel = 16

// staged are documents that are being written under other names.
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

// Stage begins to write the document of a namespace, under another name. [Writer.Apply] waits until it is durable, and
// puts it in place together with all that were staged. Few of them are in memory at a time. A namespace is
// staged once.
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

// wait returns the steps to take when all documents are durable. The error is about those that are not.
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

var errChanged = errors.New("somebody else has changed it in this moment")
