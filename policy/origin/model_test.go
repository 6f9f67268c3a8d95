package origin_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// world is a small world of images that share configs, manifests and indexes, whose names change at random.
type world struct {
	*stores
	random  *rand.Rand
	configs []ocispec.Descriptor
	targets []ocispec.Descriptor
	names   []string
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{stores: newStores(t), random: rand.New(rand.NewPCG(seed, 0))}
	for i := range 3 {
		c := w.config(fmt.Sprint("app", i), "layer", fmt.Sprint("layer", i%2))
		w.configs = append(w.configs, c)
		w.targets = append(w.targets, w.manifest(c, "one"), w.manifest(c, "two"))
	}
	w.targets = append(w.targets, absent("gone"))
	for range 8 {
		var children []ocispec.Descriptor
		for range w.random.IntN(4) {
			children = append(children, w.targets[w.random.IntN(len(w.targets))])
		}
		if w.random.IntN(4) == 0 {
			children = append(children, absentMany(300, "wide")...)
		}
		w.targets = append(w.targets, w.index(children...))
	}
	for i := range 7 {
		w.names = append(w.names, fmt.Sprintf("repository%d.example/x:v1", i))
	}
	return w
}

// step changes a name.
func (w *world) step() {
	stored := w.names[w.random.IntN(len(w.names))]
	if w.random.IntN(3) > 0 {
		w.name(stored, w.targets[w.random.IntN(len(w.targets))])
		return
	}
	if err := w.images.Delete(w.ctx, stored); err != nil && !errdefs.IsNotFound(err) {
		w.tb.Fatal(err)
	}
}

// answers asks for all images and returns the relevant parts of the answers.
func (w *world) answers(o *origin.Containerd) []string {
	var all []string
	for _, c := range w.configs {
		image, err := o.Image(w.tb.Context(), question(c))
		refused := new(policy.Refusal)
		switch {
		case errors.As(err, &refused):
			all = append(all, string(refused.Reason))
		case err != nil:
			w.tb.Fatal(err)
		default:
			answer := describe(w.tb, image)
			all = append(all, fmt.Sprint(answer.Manifests, answer.PulledAs))
		}
	}
	return all
}

// TestMemoryAnswersAsContainerdWould compares, through a random history of names, what is remembered with what somebody
// finds who has just come and looks.
func TestMemoryAnswersAsContainerdWould(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, seed)
			o := w.following()
			empty := o.Sizes()
			for range 12 {
				for range w.random.IntN(6) {
					w.step()
				}
				if w.random.IntN(6) == 0 {
					w.loseEvents()
					w.step()
					eventually(t, "another subscription", w.subscribed)
					eventually(t, "following", func() bool { return o.State().Following })
				}
				w.eventsProcessed(o)
				same(t, w.answers(o), w.answers(w.origin()))
				if got, want := o.State().Unreadable, o.Unreadable(); got != want {
					t.Errorf("%d targets are reported as unreadable, and %d are", got, want)
				}
				o.Confirm(question(w.configs[w.random.IntN(len(w.configs))]))
			}
			list, err := w.images.List(w.ctx)
			must(t, err)
			for _, image := range list {
				w.unname(image.Name)
			}
			eventually(t, "nothing is left", func() bool { return o.Sizes() == empty && o.State().Unreadable == 0 })
		})
	}
}
