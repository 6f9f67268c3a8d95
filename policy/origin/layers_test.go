package origin_test

import (
	"context"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
)

// twins are images with the same layers and other configs.
type twins struct {
	signed, evil      ocispec.Descriptor // their configs
	signedM, evilM    ocispec.Descriptor // their manifests
	index             ocispec.Descriptor // lists evil's manifest, and one that is not here
	foreign, foreignM ocispec.Descriptor
}

// twins stores three images with the layer "base": two in example.com/app, and one in example.com/foreign.
func (s *stores) twins() twins {
	s.tb.Helper()
	w := twins{
		signed: s.config("signed", "base"), evil: s.config("evil", "base"), foreign: s.config("foreign", "base"),
	}
	w.signedM, w.evilM, w.foreignM = s.manifest(w.signed, ""), s.manifest(w.evil, ""), s.manifest(w.foreign, "")
	w.index = s.index(w.evilM, absent("other platform"))
	s.cri("example.com/app:signed", w.signedM, w.signed)
	s.cri("example.com/app:evil", w.index, w.evil)
	s.cri("example.com/foreign:v1", w.foreignM, w.foreign)
	s.prepare("first", "container", s.unpack("first", "base"))
	return w
}

// cri stores an image as the CRI plugin does: by tag, by digest, and by image ID.
func (s *stores) cri(tagged string, target, config ocispec.Descriptor) {
	s.tb.Helper()
	named, err := policy.Normalize(tagged)
	must(s.tb, err)
	for _, stored := range []string{tagged, named.Name() + "@" + target.Digest.String(), config.Digest.String()} {
		s.name(stored, target)
	}
}

func TestCandidatesAreThoseOfThePodsReference(t *testing.T) {
	const app = "example.com/app"
	tests := map[string]struct {
		reference func(twins) string
		want      func(twins) []ocispec.Descriptor
		reason    policy.Reason
	}{
		"a tag leads to all images of its repository": {
			func(twins) string { return app + ":signed" },
			func(w twins) []ocispec.Descriptor { return []ocispec.Descriptor{w.signed, w.evil} }, "",
		},
		"a tag that is not on the node does too": {
			func(twins) string { return app + ":gone" },
			func(w twins) []ocispec.Descriptor { return []ocispec.Descriptor{w.signed, w.evil} }, "",
		},
		"a name without a tag does too": {
			func(twins) string { return app },
			func(w twins) []ocispec.Descriptor { return []ocispec.Descriptor{w.signed, w.evil} }, "",
		},
		"a repository with the same layers does not count": {
			func(twins) string { return "example.com/foreign:v1" },
			func(w twins) []ocispec.Descriptor { return []ocispec.Descriptor{w.foreign} }, "",
		},
		"a digest leads to its manifest only": {
			func(w twins) string { return app + "@" + w.signedM.Digest.String() },
			func(w twins) []ocispec.Descriptor { return []ocispec.Descriptor{w.signed} }, "",
		},
		"a tag next to a digest does not count": {
			func(w twins) string { return app + ":evil@" + w.signedM.Digest.String() },
			func(w twins) []ocispec.Descriptor { return []ocispec.Descriptor{w.signed} }, "",
		},
		"the digest of an index leads to what it lists": {
			func(w twins) string { return app + "@" + w.index.Digest.String() },
			func(w twins) []ocispec.Descriptor { return []ocispec.Descriptor{w.evil} }, "",
		},
		"the digest of a manifest that an index lists": {
			func(w twins) string { return app + "@" + w.evilM.Digest.String() },
			func(w twins) []ocispec.Descriptor { return []ocispec.Descriptor{w.evil} }, "",
		},
		"a digest of another repository": {
			func(w twins) string { return app + "@" + w.foreignM.Digest.String() }, nil, policy.UnknownOrigin,
		},
		"a repository that is not on the node": {
			func(twins) string { return "example.com/gone:v1" }, nil, policy.UnknownOrigin,
		},
		"an image ID is that image": {
			func(w twins) string { return w.signed.Digest.String() },
			func(w twins) []ocispec.Descriptor { return []ocispec.Descriptor{w.signed} }, "",
		},
		"an image ID without its algorithm": {
			func(w twins) string { return w.foreign.Digest.Encoded() },
			func(w twins) []ocispec.Descriptor { return []ocispec.Descriptor{w.foreign} }, "",
		},
		"the beginning of an image ID": {
			func(w twins) string { return w.evil.Digest.String()[:20] },
			func(w twins) []ocispec.Descriptor { return []ocispec.Descriptor{w.evil} }, "",
		},
		"an image ID of an image with other layers": {
			func(twins) string { return digest.FromString("another").String() }, nil, policy.UnknownOrigin,
		},
		"no reference": {func(twins) string { return "UPPER CASE" }, nil, policy.BadRequest},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStores(t)
			w := s.twins()
			var want []digest.Digest
			if test.want != nil {
				for _, config := range test.want(w) {
					want = append(want, config.Digest)
				}
				slices.Sort(want)
			}
			container := policy.Container{ID: "container", Reference: test.reference(w)}
			for _, o := range []contentOf{s.origin(), s.following()} {
				got, err := o.Content(t.Context(), container)
				same(t, got, want)
				if test.reason != "" {
					refusal(t, err, test.reason)
					continue
				}
				must(t, err)
			}
		})
	}
}

// contentOf has a policy.ContentFunc.
type contentOf interface {
	Content(context.Context, policy.Container) ([]digest.Digest, error)
}

func TestCandidatesInMemoryAreOneCall(t *testing.T) {
	s := newStores(t)
	w := s.twins()
	s.prepare("first", "another", chainOf("base"))
	o := s.following()
	for _, reference := range []string{"example.com/app:signed", w.signed.Digest.String()} {
		_, err := o.Content(t.Context(), policy.Container{ID: "container", Reference: reference})
		must(t, err)
		before := s.calls.Load()
		_, err = o.Content(t.Context(), policy.Container{ID: "another", Reference: reference})
		must(t, err)
		if calls := s.calls.Load() - before; calls != 1 {
			t.Errorf("%d calls to containerd for %s, want 1", calls, reference)
		}
	}
}

// TestImagesOfOthersDoNotMatter: what cannot be read in another repository, or takes long, is no reason to wait.
func TestImagesOfOthersDoNotMatter(t *testing.T) {
	s := newStores(t)
	w := s.twins()
	hostile := s.config("hostile", "base")
	s.sizes[hostile.Digest] = 5 << 20
	s.name("example.com/hostile:v1", s.manifest(hostile, ""))
	o := s.following()
	slow := s.manifest(s.config("slow", "base"), "")
	begun, proceed := s.holdReading(slow.Digest)
	s.name("example.com/hostile:slow", slow)
	<-begun
	defer close(proceed)
	container := policy.Container{ID: "container", Reference: "example.com/foreign:v1"}
	got, err := o.Content(t.Context(), container)
	must(t, err)
	same(t, got, []digest.Digest{w.foreign.Digest})

	container.Reference = "example.com/hostile:v1"
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = o.Content(ctx, container)
	refusal(t, err, policy.Pending)
}

// TestAnImageOfTheRepositoryThatIsBeingReadIsWaitedFor: it may be the one that runs.
func TestAnImageOfTheRepositoryThatIsBeingReadIsWaitedFor(t *testing.T) {
	s := newStores(t)
	w := s.twins()
	o := s.following()
	late := s.config("late", "base")
	m := s.manifest(late, "")
	begun, proceed := s.holdReading(m.Digest)
	s.name("example.com/foreign:late", m)
	<-begun
	type answer struct {
		configs []digest.Digest
		err     error
	}
	answered := make(chan answer, 1)
	go func() {
		configs, err := o.Content(t.Context(), policy.Container{ID: "container", Reference: "example.com/foreign:v1"})
		answered <- answer{configs, err}
	}()
	// The wanted digest does not depend on it.
	got, err := o.Content(t.Context(), policy.Container{
		ID: "container", Reference: "example.com/foreign@" + w.foreignM.Digest.String(),
	})
	must(t, err)
	same(t, got, []digest.Digest{w.foreign.Digest})
	select {
	case a := <-answered:
		t.Fatalf("answered %v, %v before the image was read", a.configs, a.err)
	default:
	}
	close(proceed)
	a := <-answered
	must(t, a.err)
	want := []digest.Digest{w.foreign.Digest, late.Digest}
	slices.Sort(want)
	same(t, a.configs, want)
}

// TestAnEventThatWaitsIsKnownOf: while images are pulled, events are evaluated one after the other.
func TestAnEventThatWaitsIsKnownOf(t *testing.T) {
	s := newStores(t)
	w := s.twins()
	o := s.following()
	asked, proceed := make(chan struct{}), make(chan struct{})
	s.fail(func(call, name string) error {
		if call == "Get" && name == "example.com/busy:v1" {
			close(asked)
			<-proceed
		}
		return nil
	})
	s.name("example.com/busy:v1", s.manifest(s.config("busy", "busy"), ""))
	<-asked
	late := s.config("late", "base")
	s.name("example.com/foreign:late", s.manifest(late, ""))
	eventually(t, "the event to have arrived", func() bool { return o.Waiting() > 1 })
	close(proceed)
	got, err := o.Content(t.Context(), policy.Container{ID: "container", Reference: "example.com/foreign:v1"})
	must(t, err)
	want := []digest.Digest{w.foreign.Digest, late.Digest}
	slices.Sort(want)
	same(t, got, want)
}

func TestNamesOfARepositoryAreForgotten(t *testing.T) {
	s := newStores(t)
	w := s.twins()
	o := s.following()
	s.unname("example.com/foreign:v1")
	s.unname("example.com/foreign@" + w.foreignM.Digest.String())
	eventually(t, "the names to be forgotten", func() bool { return o.Target("example.com/foreign:v1") == "" })
	eventually(t, "the repository to be forgotten", func() bool { return o.Repositories() == 1 })
	_, err := o.Content(t.Context(), policy.Container{ID: "container", Reference: "example.com/foreign:v1"})
	refusal(t, err, policy.UnknownOrigin)
}

func TestCandidatesWithoutContainerd(t *testing.T) {
	s := newStores(t)
	s.twins()
	o := s.origin()
	s.fail(func(call, _ string) error {
		if call == "List" {
			return errdefs.ErrUnavailable
		}
		return nil
	})
	_, err := o.Content(t.Context(), policy.Container{ID: "container", Reference: "example.com/app:signed"})
	refusal(t, err, policy.Unavailable, "listing containerd's images")
}

// TestAlike: the images that could be mistaken for one are those found for a container of it.
func TestAlike(t *testing.T) {
	s := newStores(t)
	w := s.twins()
	o := s.following()
	for _, reference := range []string{"example.com/app:signed", w.signed.Digest.String(), "example.com/gone:v1"} {
		found, foundErr := o.Content(t.Context(), policy.Container{ID: "container", Reference: reference})
		alike, err := o.Alike(t.Context(), policy.Question{Namespace: "prod", Reference: reference, Config: w.signed.Digest})
		same(t, alike, found)
		if (err == nil) != (foundErr == nil) {
			t.Errorf("of %s: %v, and for a container: %v", reference, err, foundErr)
		}
	}
	_, err := o.Alike(t.Context(), policy.Question{Reference: "example.com/app:v1", Config: digest.FromString("gone")})
	refusal(t, err, policy.Unavailable)
}
