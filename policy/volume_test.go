package policy_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// sharers is a node with images that share the layers of a volume. Each has one manifest, obtained under one reference.
type sharers struct {
	*node
	configs []digest.Digest
	likely  []digest.Digest
	running sync.WaitGroup
}

func newSharers(t testing.TB, others int) *sharers {
	t.Helper()
	s := &sharers{node: newNode(t, signedBy("alice"))}
	names := map[digest.Digest]string{}
	for i := range others {
		names[digestOf(fmt.Sprint("config ", i))] = fmt.Sprintf("tenant%d.example/x:v1", i)
		s.configs = append(s.configs, digestOf(fmt.Sprint("config ", i)))
	}
	names[digestOf("config")] = tagged
	s.configs = append(s.configs, digestOf("config"))
	s.image = func(_ context.Context, q policy.Question) (*policy.Image, error) {
		image := imageOf(t, names[q.Config])
		image.Config = q.Config
		image.Holds = func(reference.Named) func() bool { return func() bool { return true } }
		return image, nil
	}
	return s
}

func (s *sharers) volume() policy.Volume {
	return policy.Volume{
		Layers: "sha256:layers",
		Likely: func() []digest.Digest { return s.likely },
		All:    func() []digest.Digest { return s.configs },
	}
}

// backgroundDecider decides what is too much for a callback in the background.
func (s *sharers) backgroundDecider(t testing.TB) *policy.Decider {
	t.Helper()
	sources := s.sources()
	sources.Stored = s.kept
	sources.Start = func(f func(context.Context)) bool {
		s.running.Go(func() { f(t.Context()) })
		return true
	}
	return newDecider(t, sources)
}

func TestAVolumeIsAdmittedByOneImageWithItsFiles(t *testing.T) {
	for name, c := range map[string]struct {
		others int
		signed map[string]string
		want   policy.Reason
	}{
		"the only one is signed":         {0, map[string]string{tagged: "alice"}, policy.Accepted},
		"one of several is signed":       {10, map[string]string{tagged: "alice"}, policy.Accepted},
		"another one of several":         {10, map[string]string{"tenant3.example/x:v1": "alice"}, policy.Accepted},
		"one of many":                    {1000, map[string]string{tagged: "alice"}, policy.Accepted},
		"none of several is signed":      {10, nil, policy.Unsigned},
		"none of many is signed":         {1000, nil, policy.Unsigned},
		"one of several may be":          {10, map[string]string{tagged: "?"}, policy.Pending},
		"one of several, by another key": {10, map[string]string{tagged: "bob"}, policy.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSharers(t, c.others)
			s.signed(c.signed)
			wantReason(t, s.decider(t).DecideVolume(t.Context(), "prod", s.volume()), c.want)
		})
	}
	none := newSharers(t, 0)
	none.configs = nil
	wantReason(t, none.decider(t).DecideVolume(t.Context(), "prod", none.volume()), policy.UnknownOrigin)
	var decider *policy.Decider
	wantReason(t, decider.DecideVolume(t.Context(), "prod", none.volume()), policy.Internal)
}

// TestWhoHasTheFilesOfAVolumeIsJudgedByMerit: anybody can have 2,900 images with these files pulled.
func TestWhoHasTheFilesOfAVolumeIsJudgedByMerit(t *testing.T) {
	prod := "prod"
	for name, c := range map[string]struct {
		before func(*policy.Decider, *sharers)
		images int64
	}{
		"the path leads to it": {func(_ *policy.Decider, s *sharers) { s.likely = []digest.Digest{digestOf("config")} }, 1},
		"the path leads elsewhere, and it was admitted before": {func(d *policy.Decider, s *sharers) {
			s.likely = []digest.Digest{digestOf("config")}
			wantReason(t, d.DecideVolume(t.Context(), prod, s.volume()), policy.Accepted)
			s.likely = s.configs[:8]
		}, 1},
		"it was admitted in another namespace": {func(d *policy.Decider, s *sharers) {
			s.likely = []digest.Digest{digestOf("config")}
			wantReason(t, d.DecideVolume(t.Context(), "other", s.volume()), policy.Accepted)
			s.likely = nil
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSharers(t, 2900)
			s.signed(map[string]string{tagged: "alice"})
			decider := s.backgroundDecider(t)
			c.before(decider, s)
			for range 3 {
				s.generation.Add(1)
				wantReason(t, decider.DecideVolume(t.Context(), prod, s.volume()), policy.Accepted)
			}
			if got := s.images.Load(); got != c.images {
				t.Errorf("%d images were examined, want %d", got, c.images)
			}
		})
	}
}

func TestTheImagesOfAVolumeAreJudgedInTheBackgroundIfTheyAreMany(t *testing.T) {
	for name, want := range map[string]policy.Reason{"alice": policy.Accepted, "bob": policy.Rejected} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s := newSharers(t, 2900)
			defer s.running.Wait()
			defer cancel()
			s.signed(map[string]string{tagged: name})
			sources := s.sources()
			sources.Stored = s.kept
			sources.Start = func(f func(context.Context)) bool {
				s.running.Go(func() { f(ctx) })
				return true
			}
			decider := newDecider(t, sources)
			wantReason(t, decider.DecideVolume(t.Context(), "prod", s.volume()), policy.Pending)
			if s.images.Load() != 0 {
				t.Errorf("%d images were examined in the callback", s.images.Load())
			}
			settle()
			wantReason(t, decider.DecideVolume(t.Context(), "prod", s.volume()), want)
			wantReason(t, decider.DecideVolume(t.Context(), "none", policy.Volume{
				Layers: "sha256:others", Likely: func() []digest.Digest { return nil },
				All: func() []digest.Digest { return nil },
			}), policy.UnknownOrigin)
		})
	}
}

// TestWhatAdmittedAVolumeIsJudgedAgain: it only tells what to judge first.
func TestWhatAdmittedAVolumeIsJudgedAgain(t *testing.T) {
	s := newSharers(t, 3)
	var evidence atomic.Uint64
	evidence.Store(1)
	s.signed(map[string]string{tagged: "alice"})
	s.numbered(&evidence)
	decider := s.decider(t)
	wantReason(t, decider.DecideVolume(t.Context(), "prod", s.volume()), policy.Accepted)
	evidence.Add(1)
	s.signed(nil)
	s.numbered(&evidence)
	s.generation.Add(1)
	wantReason(t, decider.DecideVolume(t.Context(), "other", s.volume()), policy.Unsigned)
	s.store(document("/system.json", rejectAll()))
	wantReason(t, decider.DecideVolume(t.Context(), "prod", s.volume()), policy.Rejected)
}
