package origin_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// localImages describes what is held, in its order.
func localImages(o *origin.Containerd) []string {
	lines := []string{}
	for _, h := range o.LocalImages() {
		line := h.Reference.String()
		for _, m := range h.Manifests {
			line += fmt.Sprintf(" %s", m.Digest)
		}
		lines = append(lines, line)
	}
	return lines
}

func normalized(tb testing.TB, s string) reference.Named {
	tb.Helper()
	ref, err := policy.Normalize(s)
	must(tb, err)
	return ref
}

func TestLocalImagesAreAllReferencesNewestFirst(t *testing.T) {
	s := newStores(t)
	o := s.following()
	if got := localImages(o); len(got) != 0 {
		t.Fatalf("without images there are local images %v", got)
	}
	m, c := s.image("app")
	index := s.index(absent("arm"), m)
	s.name("example.com/app:v1", index)
	s.name(c.Digest.String(), index) // as the CRI plugin does
	s.name("docker.io/library/copy:v1", m)
	other, _ := s.image("other")
	s.name("example.com/other:v1", other)
	eventually(t, "all images", func() bool { return len(o.LocalImages()) == 3 && o.State().Unread == 0 })
	same(t, localImages(o), []string{
		fmt.Sprint("example.com/other:v1 ", other.Digest),
		// The index is not of the copy's repository.
		fmt.Sprint("docker.io/library/copy:v1 ", m.Digest),
		fmt.Sprint("example.com/app:v1 ", m.Digest, " ", index.Digest),
	})

	// What is pulled again is new again, and a tag that moved holds another image.
	s.name("example.com/app:v1", other)
	eventually(t, "the tag to move", func() bool { return o.LocalImages()[0].Reference.String() == "example.com/app:v1" })
	same(t, localImages(o)[0], fmt.Sprint("example.com/app:v1 ", other.Digest))
	for _, h := range o.LocalImages() {
		for _, manifest := range h.Manifests {
			if manifest.Bytes != nil {
				t.Errorf("%s comes with its bytes", manifest.Digest)
			}
		}
	}
}

func TestChangesAreNotified(t *testing.T) {
	s := newStores(t)
	o := s.following()
	m, c := s.image("app")
	s.name("example.com/app:v1", m)
	s.eventsProcessed(o)
	for name, change := range map[string]func(){
		"another name of a known image": func() { s.name("example.com/app:v2", m) },
		"another image":                 func() { other, _ := s.image("other"); s.name("example.com/other:v1", other) },
		"a removed name":                func() { s.unname("example.com/app:v1") },
	} {
		t.Run(name, func(*testing.T) {
			changed := o.Changed()
			change()
			<-changed
		})
	}
	// One change can be notified twice, so that the last notification need not be about the last change.
	eventually(t, "the image to be there", func() bool { return o.Present(m.Digest) })
	if o.Present(c.Digest) {
		t.Error("of manifests alone it is known whether they are present")
	}
	s.unname("example.com/app:v2")
	eventually(t, "the image to go", func() bool { return !o.Present(m.Digest) })
}

// TestIndexesThatShareWhatTheyListCostNoMore: there are 8^7 ways from the top to the manifest.
func TestIndexesThatShareWhatTheyListCostNoMore(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	level := []ocispec.Descriptor{m}
	for depth := range 7 {
		var above []ocispec.Descriptor
		for i := range 8 {
			above = append(above, s.index(append(level, absent(fmt.Sprint(depth, i)))...))
		}
		level = above
	}
	top := s.index(level...)
	s.name("example.com/app:v1", top)
	o := s.following()
	image := o.Find(t.Context(), top.Digest, normalized(t, "example.com/app:v1"))
	if image == nil || image.Config != c.Digest {
		t.Errorf("found %+v", image)
	}
}

func TestFindReturnsUniqueImagesOnly(t *testing.T) {
	s := newStores(t)
	app, c := s.image("app")
	again := s.manifest(c, "the same configuration again")
	other, _ := s.image("other")
	index, same := s.index(absent("arm"), app), s.index(app, again)
	for stored, target := range map[string]ocispec.Descriptor{
		"example.com/app:v1": index, "example.com/again:v1": again, "example.com/single:v1": other,
		"example.com/both:v1": s.index(app, other), "example.com/same:v1": same,
		"example.com/elsewhere:v1": s.index(absent("arm"), absent("s390x")),
	} {
		s.name(stored, target)
	}
	o := s.following()
	for name, want := range map[string][]string{
		"example.com/app:v1":   sorted(of(app, "example.com/app"), of(index, "example.com/app")),
		"example.com/again:v1": {of(again, "example.com/again")},
		"example.com/same:v1": sorted(
			of(app, "example.com/same"), of(again, "example.com/same"), of(same, "example.com/same")),
		"example.com/both:v1": nil, "example.com/elsewhere:v1": nil,
	} {
		image := o.Find(t.Context(), o.Target(name), normalized(t, name))
		if (image == nil) != (want == nil) {
			t.Errorf("%s: found %+v, want %v", name, image, want)
		}
		if image == nil {
			continue
		}
		got := describe(t, image)
		if image.Config != c.Digest || !slices.Equal(sorted(got.Manifests...), want) {
			t.Errorf("%s: found %s: %v, want %v", name, image.Config, got, want)
		}
	}
	if image := o.Find(t.Context(), digest.FromString("absent"), normalized(t, "example.com/app:v1")); image != nil {
		t.Errorf("found %+v of what is not here", image)
	}
	if image := o.Find(t.Context(), app.Digest, normalized(t, "example.com/app:v1")); image != nil {
		t.Errorf("found %+v of what no name leads to directly", image)
	}
	if image := s.origin().Find(t.Context(), index.Digest, normalized(t, "example.com/app:v1")); image != nil {
		t.Errorf("found %+v without following events", image)
	}
}

// news returns the names of which the panic was not reported yet, but for the marker of [stores.settled].
func (s *stores) news(o *origin.Containerd) []string {
	s.eventsProcessed(o)
	return slices.DeleteFunc(slices.Sorted(slices.Values(o.News())), func(stored string) bool {
		return strings.HasPrefix(stored, "example.com/settled:")
	})
}

func TestOnlyNamesThatLeadElsewhereAreNews(t *testing.T) {
	s := newStores(t)
	m, _ := s.image("app")
	other, _ := s.image("other")
	index := s.index(m, other)
	s.discard(other.Digest)
	s.name("example.com/app:v1", index)
	s.name("example.com/app:v2", index)
	o := s.following()
	same(t, s.news(o), []string{"example.com/app:v1", "example.com/app:v2"})
	if again := s.news(o); len(again) != 0 {
		t.Errorf("told again of %v", again)
	}
	for _, step := range []struct {
		what   string
		change func()
		want   []string
	}{
		{"it is pulled again", func() { s.name("example.com/app:v1", index) }, nil},
		{"another name of it", func() { s.name("example.com/app:v3", index) }, []string{"example.com/app:v3"}},
		{"a removed name", func() { s.unname("example.com/app:v3") }, nil},
		{"a name that moves", func() { s.name("example.com/app:v2", m) }, []string{"example.com/app:v2"}},
		{
			"more of its content comes",
			func() { s.image("other"); s.name("example.com/app:v1", index) },
			[]string{"example.com/app:v1"},
		},
	} {
		step.change()
		if got := s.news(o); !slices.Equal(got, step.want) {
			t.Errorf("%s: reported %v, want %v", step.what, got, step.want)
		}
	}
	names := slices.DeleteFunc(o.Names(), func(stored string) bool { return !strings.Contains(stored, "app") })
	if len(names) != 2 {
		t.Errorf("names are %v", names)
	}
	for stored, want := range map[string]int{"example.com/app:v1": 2, "example.com/app:v2": 1, "example.com/app:v3": 0} {
		if got := len(o.LocalImagesOf(stored)); got != want {
			t.Errorf("%s holds %d images, want %d", stored, got, want)
		}
	}
}
