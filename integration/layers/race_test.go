package layers_test

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// roundsVariable is the environment variable with the number of rounds of each race.
const roundsVariable = "COUNTERSIGN_RACE_ROUNDS"

func rounds(t *testing.T) int {
	t.Helper()
	return rig.Must(strconv.Atoi(cmp.Or(os.Getenv(roundsVariable), "20")))(t)
}

// TestRaces creates containers while the names of their images move.
func TestRaces(t *testing.T) {
	l := newLab(t, rig.NewWorkshop(t), node.Config{})
	t.Run("a tag moves between the images", l.movingTag)
	t.Run("an alias of the signed image moves", l.movingAliasOfSigned)
	t.Run("an alias of the unsigned image moves", l.movingAliasOfEvil)
}

// race moves a name between the images while containers are created, and checks that nothing but the signed image runs.
type race struct {
	there, back func(context.Context) error
	requests    []asks
	marker      string
}

func (l *lab) run(t *testing.T, pod *node.RunningPod, r race) {
	t.Helper()
	results := map[string]int{}
	for round := range rounds(t) {
		move := r.there
		if round%2 == 1 {
			move = r.back
		}
		moved := make(chan error, 1)
		go func() { moved <- move(t.Context()) }()
		for racing := true; racing; {
			for _, request := range r.requests {
				got := l.tryOnce(t, pod, request)
				results[got]++
				if printed := !strings.Contains(got, ": "); printed && got != r.marker {
					t.Errorf("in round %d %q runs as %s", round, got, request.reference)
				}
			}
			select {
			case err := <-moved:
				rig.OK(t, err)
				racing = false
			default:
			}
		}
	}
	t.Logf("containerd %s, %d rounds:", l.Release(), rounds(t))
	for _, result := range slices.Sorted(maps.Keys(results)) {
		t.Logf("%6d %s", results[result], result)
	}
	rig.OK(t, r.back(t.Context()))
}

func (l *lab) movingTag(t *testing.T) {
	w := l.newTwins(t, "racing/app")
	moving := w.signed.Repository + ":moving"
	there := func(ctx context.Context) error { return l.moved(ctx, w.unsigned, "moving") }
	back := func(ctx context.Context) error { return l.moved(ctx, w.signed, "moving") }
	rig.OK(t, back(t.Context()))
	l.Pull(t, w.unsigned)
	pod := l.pods(t, w.signed)["a pod"]
	l.run(t, pod, race{there, back, []asks{
		of(w.unsigned, moving), of(w.signed, moving), of(w.unsigned, w.signed.Reference),
		of(w.unsigned, w.signed.ByDigest()), of(w.signed, w.signed.ByDigest()),
	}, w.marker})
	l.want(t, map[string]*node.RunningPod{"a pod": pod}, of(w.signed, w.signed.ByDigest()), w.marker)
}

// alias returns the functions that move a name of an image to another image's manifest, and back.
func (l *lab) alias(t *testing.T, name string, image, other v1.Image) (there, back func(context.Context) error) {
	t.Helper()
	pushed := l.pushAs(t, name, image)
	l.Pull(t, pushed)
	index := node.Index(node.Child{Manifest: other}, l.elsewhere(t), node.Child{Manifest: image})
	there = func(ctx context.Context) error { return l.repoint(ctx, t, name, index) }
	back = func(ctx context.Context) error { return l.moved(ctx, pushed, "v1") }
	return there, back
}

func (l *lab) movingAliasOfSigned(t *testing.T) {
	w := l.newTwins(t, "racing/signed")
	pod := l.pods(t, w.signed)["a pod"]
	evil := saying(t, l.Image(t, "racing/files"))
	l.Pull(t, l.pushAs(t, "racing/signed:evil", evil))
	there, back := l.alias(t, "aaa/racing:v1", w.signedImage, evil)
	l.run(t, pod, race{there, back, []asks{
		of(w.signed, w.signed.Reference), of(w.signed, w.signed.ByDigest()), of(w.signed, w.signed.Config.String()),
	}, w.marker})
	l.want(t, map[string]*node.RunningPod{"a pod": pod}, of(w.signed, w.signed.Reference), w.marker)
}

func (l *lab) movingAliasOfEvil(t *testing.T) {
	w := l.newTwins(t, "racing/turned")
	pod := l.pods(t, w.signed)["a pod"]
	evil := saying(t, l.Image(t, "racing/evil"))
	pushed := l.pushAs(t, "racing/turned:evil", evil)
	l.Pull(t, pushed)
	there, back := l.alias(t, "aaa/turning:v1", evil, w.signedImage)
	l.run(t, pod, race{there, back, []asks{
		of(pushed, w.signed.Reference), of(pushed, w.signed.ByDigest()), of(w.signed, w.signed.Reference),
		of(pushed, pushed.Reference),
	}, w.marker})
	l.want(t, map[string]*node.RunningPod{"a pod": pod}, of(w.signed, w.signed.Reference), w.marker)
}
