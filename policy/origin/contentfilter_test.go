package origin_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/origin"
)

// filled returns a Containerd that follows events and knows which blobs are absent, and a count of blobs that it opens.
func (s *stores) filled() (o *origin.Containerd, opened *atomic.Int64) {
	s.tb.Helper()
	o = s.following()
	eventually(s.tb, "the content is listed", o.FilterComplete)
	s.eventsProcessed(o)
	opened = new(atomic.Int64)
	s.fail(func(call, _ string) error {
		if call == "ReaderAt" {
			opened.Add(1)
		}
		return nil
	})
	return o, opened
}

// failWalk makes it impossible to list the content store.
func (s *stores) failWalk() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.walkError = errors.New("a message is too large")
}

// nested is an index of indexes that list 250 absent manifests each.
func (s *stores) nested(count int, more ...ocispec.Descriptor) ocispec.Descriptor {
	for i := range count {
		more = append(more, s.index(absentMany(250, fmt.Sprint("nested ", i, " "))...))
	}
	return s.index(more...)
}

func TestAnIndexThatIsPulledAgainCostsWhatHasChanged(t *testing.T) {
	for name, c := range map[string]struct {
		index        func(s *stores, m ocispec.Descriptor) ocispec.Descriptor
		first, again int64
	}{
		"a wide index": {func(s *stores, m ocispec.Descriptor) ocispec.Descriptor {
			return s.index(append(absentMany(9_900, "x"), m)...)
		}, 3, 0},
		"narrow indexes in another": {func(s *stores, m ocispec.Descriptor) ocispec.Descriptor {
			return s.nested(39, m)
		}, 40 + 2, 0},
		"an ordinary image": {func(s *stores, m ocispec.Descriptor) ocispec.Descriptor {
			return s.index(append(absentMany(29, "x"), m)...)
		}, 32, 29},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStores(t)
			o, opened := s.filled()
			m, config := s.image("app")
			index := c.index(s, m)
			s.name("example.com/app:v1", index)
			s.eventsProcessed(o)
			// The filter may take a few for present.
			const mistaken = 5
			if got := opened.Swap(0); got > c.first+mistaken {
				t.Errorf("%d blobs were opened at first, want at most %d", got, c.first)
			}
			for range 3 {
				s.name("example.com/app:v1", index)
				s.eventsProcessed(o)
				if got := opened.Swap(0); got > c.again+mistaken {
					t.Errorf("%d blobs were opened when it was pulled again, want at most %d", got, c.again)
				}
			}
			same(t, originals(t, o, question(config)), []string{"example.com/app:v1"})
		})
	}
}

func TestWhatComesToAnIndexIsFound(t *testing.T) {
	for name, index := range map[string]func(s *stores, m ocispec.Descriptor) ocispec.Descriptor{
		"a wide index": func(s *stores, m ocispec.Descriptor) ocispec.Descriptor {
			return s.index(append(absentMany(9_900, "x"), m)...)
		},
		"narrow indexes in another": func(s *stores, m ocispec.Descriptor) ocispec.Descriptor {
			return s.nested(39, s.index(m))
		},
	} {
		for _, listed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, the content is listed: %t", name, listed), func(t *testing.T) {
				s := newStores(t)
				if !listed {
					s.failWalk()
				}
				m, config := s.image("app")
				target := index(s, m)
				s.discard(m.Digest)
				s.name("example.com/app:v1", target)
				o := s.following()
				if listed {
					eventually(t, "the content is listed", o.FilterComplete)
				}
				s.eventsProcessed(o)
				s.name("example.com/app:v1", target)
				s.eventsProcessed(o)
				s.image("app")
				s.name("example.com/app:v1", target)
				s.eventsProcessed(o)
				same(t, originals(t, o, question(config)), []string{"example.com/app:v1"})
				if o.FilterComplete() != listed {
					t.Errorf("the content is listed: %t", !listed)
				}
			})
		}
	}
}

func TestWhatIsKnownOfAbsentBlobsEndsWithTheEvents(t *testing.T) {
	s := newStores(t)
	o, _ := s.filled()
	m, config := s.image("app")
	index := s.index(append(absentMany(300, "x"), m)...)
	s.discard(m.Digest)
	s.name("example.com/app:v1", index)
	s.eventsProcessed(o)
	s.fail(func(call, _ string) error {
		if call == "Subscribe" {
			return errors.New("connection refused")
		}
		return nil
	})
	s.loseEvents()
	eventually(t, "the events are lost", func() bool { return !o.State().Following })
	if o.FilterComplete() {
		t.Error("blobs are certainly absent although no events are received")
	}
	s.image("app")
	s.fail(nil)
	eventually(t, "events are followed", func() bool { return o.State().Following })
	eventually(t, "the content is listed", o.FilterComplete)
	s.name("example.com/app:v1", index)
	s.eventsProcessed(o)
	same(t, originals(t, o, question(config)), []string{"example.com/app:v1"})
}

func TestWhatIsKnownOfAbsentBlobsLeavesWithTheirIndex(t *testing.T) {
	s := newStores(t)
	o, _ := s.filled()
	for i := range 3 {
		s.name(fmt.Sprintf("example.com/wide:%d", i), s.index(absentMany(5_000, fmt.Sprint(i, " "))...))
	}
	s.eventsProcessed(o)
	if got := o.Absent(); got < 14_900 || got > 15_000 {
		t.Errorf("%d hashes are in memory, want some 15,000", got)
	}
	for i := range 3 {
		s.unname(fmt.Sprintf("example.com/wide:%d", i))
	}
	s.eventsProcessed(o)
	if got := o.Absent(); got != 0 {
		t.Errorf("%d hashes are in memory of indexes that are gone", got)
	}
}

func TestTheFilterForgetsNothing(t *testing.T) {
	var blobs []digest.Digest
	for i := range 10_000 {
		blobs = append(blobs, digest.FromString(fmt.Sprint(i)))
	}
	missing, mistaken := origin.Filter(blobs[:5_000], blobs[5_000:])
	if missing != 0 || mistaken > 50 {
		t.Errorf("of 5000 blobs %d are taken for absent, and of 5000 others %d for present", missing, mistaken)
	}
}
