package origin_test

import (
	"crypto/rand"
	"strconv"
	"strings"
	"testing"

	eventtypes "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// arrived waits until the events about all snapshots have arrived that were prepared before.
func (s *stores) arrived(o *origin.Containerd) {
	s.tb.Helper()
	marker := rand.Text()
	s.prepare("first", marker, "")
	eventually(s.tb, "the event about a snapshot", func() bool { return o.Prepared(marker) })
	must(s.tb, s.snapshotters["first"].Remove(s.ctx, marker))
}

// listSnapshotters makes a Containerd list the snapshotters, as its first question does.
func (s *stores) listSnapshotters(o *origin.Containerd) {
	s.tb.Helper()
	_, err := o.Content(s.tb.Context(), container("nobody's", s.config("scratch")))
	refusal(s.tb, err, policy.UnknownOrigin)
}

// TestRootfsWithEvents has the cases of TestRootfs, whose Containerd receives no events.
func TestRootfsWithEvents(t *testing.T) {
	for name, build := range rootfsCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStores(t)
			o := s.following()
			s.listSnapshotters(o)
			r := build(s)
			s.arrived(o)
			_, err := o.Content(t.Context(), container("container", r.config))
			if r.reason == "" {
				must(t, err)
				return
			}
			refusal(t, err, r.reason, r.words...)
		})
	}
}

func TestASnapshotWhoseEventHasArrivedIsNoCall(t *testing.T) {
	const volume = state + "/image-volumes/sandbox/" + hex
	tests := map[string]func(*stores, *origin.Containerd, twins){
		"a container of a known config": func(s *stores, o *origin.Containerd, w twins) {
			verified(s.tb, o, "another", w.signed)
		},
		"a container without a config": func(s *stores, o *origin.Containerd, w twins) {
			got, err := o.Content(s.ctx, policy.Container{ID: "another", Reference: "example.com/foreign:v1"})
			must(s.tb, err)
			same(s.tb, got, []digest.Digest{w.foreign.Digest})
		},
		"an image volume": func(s *stores, o *origin.Containerd, _ twins) {
			got, _, err := o.Volume(s.ctx, "sandbox", volume)
			must(s.tb, err)
			same(s.tb, []string{got.Layers}, []string{chainOf("base")})
		},
	}
	for name, ask := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStores(t)
			w := s.twins()
			o := s.following()
			verified(t, o, "container", w.signed)
			s.prepare("first", "another", chainOf("base"))
			s.prepare("first", volume, chainOf("base"))
			s.arrived(o)
			for _, want := range []int64{0, 1} {
				before := s.calls.Load()
				ask(s, o, w)
				if calls := s.calls.Load() - before; calls != want {
					t.Errorf("%d calls to containerd, want %d", calls, want)
				}
			}
		})
	}
}

// TestARemappedCopyIsLookedUp has a parent that is no image's chain ID.
func TestARemappedCopyIsLookedUp(t *testing.T) {
	s := newStores(t)
	w := s.twins()
	o := s.following()
	s.listSnapshotters(o)
	s.commit("first", remapped(chainOf("base")), chainOf("base"))
	s.prepare("first", "mapped", remapped(chainOf("base")), mapped())
	s.arrived(o)
	got, err := o.Content(t.Context(), policy.Container{ID: "mapped", Reference: "example.com/foreign:v1"})
	must(t, err)
	same(t, got, []digest.Digest{w.foreign.Digest})
}

func TestAnEventIsNotTakenForALaterSnapshot(t *testing.T) {
	replace := func(s *stores) {
		must(s.tb, s.snapshotters["first"].Remove(s.ctx, "container"))
		s.prepare("first", "container", s.unpack("first", "evil"))
	}
	tests := map[string]func(*stores, *origin.Containerd, policy.Container){
		"it was used": func(s *stores, o *origin.Containerd, app policy.Container) {
			_, err := o.Content(s.tb.Context(), app)
			must(s.tb, err)
			replace(s)
		},
		"another event has arrived": func(s *stores, o *origin.Containerd, _ policy.Container) {
			replace(s)
			s.arrived(o)
		},
		"events were lost": func(s *stores, o *origin.Containerd, _ policy.Container) {
			s.loseEvents()
			eventually(s.tb, "the loss to be noticed", func() bool { return !o.Prepared("container") })
			replace(s)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStores(t)
			m, c := s.image("app")
			s.name("example.com/app:v1", m)
			o := s.following()
			s.listSnapshotters(o)
			s.prepare("first", "container", s.unpack("first", "layer of app"))
			s.arrived(o)
			change(s, o, container("container", c))
			_, err := o.Content(t.Context(), container("container", c))
			refusal(t, err, policy.UnknownOrigin, chainOf("evil"))
		})
	}
}

func TestAnEventOfARemoteSnapshotterProvesNothing(t *testing.T) {
	s := newStores(t)
	c := s.config("app", "base")
	s.unpack("first", "base")
	s.remote = "first"
	o := s.following()
	s.listSnapshotters(o)
	s.prepare("first", "container", chainOf("base"))
	s.arrived(o)
	_, err := o.Content(t.Context(), container("container", c))
	refusal(t, err, policy.UnknownOrigin, "the snapshotter first", "is remote")
}

// TestEventsAboutSnapshotsAreBounded publishes what containerd would not: any program with access to its socket can.
func TestEventsAboutSnapshotsAreBounded(t *testing.T) {
	s := newStores(t)
	o := s.following()
	publish := func(event events.Event) {
		must(t, s.client.EventService().Publish(s.ctx, "/snapshot/prepare", event))
	}
	long := strings.Repeat("a", 2000)
	publish(&eventtypes.SnapshotPrepare{Key: long})
	publish(&eventtypes.SnapshotPrepare{Key: "long", Parent: long})
	publish(&eventtypes.ImageCreate{Name: "another event"})
	publish(&eventtypes.SnapshotPrepare{Key: "oldest"})
	s.arrived(o)
	if o.Prepared(long) || o.Prepared("long") || o.Prepared("another event") || !o.Prepared("oldest") {
		t.Error("an event that is too long or of another type is remembered, or a good one is not")
	}
	for i := range 5000 {
		publish(&eventtypes.SnapshotPrepare{Key: strconv.Itoa(i)})
	}
	s.arrived(o)
	if o.Prepared("oldest") || !o.Prepared("4999") {
		t.Error("the oldest event is remembered, or the latest is not")
	}
}
