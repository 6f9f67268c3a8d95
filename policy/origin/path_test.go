package origin_test

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestAnImageIsHeldUnderItsNameUntilThatLeadsElsewhere(t *testing.T) {
	s := newStores(t)
	m, c := s.image("app")
	other, _ := s.image("other")
	index := s.index(absent("arm"), m)
	s.name("example.com/app:v1", index)
	s.name("example.com/app:v2", m)
	o := s.following()
	held := func(reference string) func() bool {
		image, err := o.Image(t.Context(), question(c))
		must(t, err)
		holds := image.Holds(normalized(t, reference))
		if holds == nil || !holds() {
			t.Fatalf("the image is not held under %s", reference)
		}
		return holds
	}
	s.name("tenant.example/z:v1", m)
	s.eventsProcessed(o)
	for name, change := range map[string]func(){
		"nothing":                 func() {},
		"another image":           func() { s.name("example.com/other:v1", other) },
		"another manifest of it":  func() { s.name("tenant.example/x:v1", s.manifest(c, "x")) },
		"another index of it":     func() { s.name("tenant.example/y:v1", s.index(m)) },
		"another name of it goes": func() { s.unname("example.com/app:v2") },
		"it is pulled again":      func() { s.name("example.com/app:v1", index) },
		"what was put around it":  func() { s.unname("tenant.example/z:v1") },
	} {
		t.Run(name, func(t *testing.T) {
			holds := held("example.com/app:v1")
			change()
			s.eventsProcessed(o)
			if !holds() {
				t.Error("the image is not held any more")
			}
			if allocated := testing.AllocsPerRun(10, func() { holds() }); allocated != 0 {
				t.Errorf("to ask allocates %v times", allocated)
			}
		})
	}
	image, err := o.Image(t.Context(), question(c))
	must(t, err)
	if image.Holds(normalized(t, "example.com/app:v3")) != nil || image.Own(normalized(t, "example.com/app:v3")) != nil {
		t.Error("the image is held under a name that it does not have")
	}
	same(t, image.Own(normalized(t, "example.com/app:v1")), []digest.Digest{m.Digest, index.Digest})

	moved := held("example.com/app:v1")
	s.name("example.com/app:v1", other)
	s.eventsProcessed(o)
	if moved() {
		t.Error("the image is held under a name that has moved")
	}
	if image.Holds(normalized(t, "example.com/app:v1")) != nil {
		t.Error("the image is held anew under a name that has moved")
	}
	s.name("example.com/app:v1", index)
	s.eventsProcessed(o)
	gone, lost := held("example.com/app:v1"), held("example.com/app:v1")
	s.unname("example.com/app:v1")
	s.eventsProcessed(o)
	if gone() {
		t.Error("the image is held under a name that is gone")
	}
	s.name("example.com/app:v1", index)
	s.eventsProcessed(o)
	s.fail(func(call, _ string) error {
		if call == "Subscribe" {
			return fmt.Errorf("containerd is unreachable")
		}
		return nil
	})
	s.loseEvents()
	eventually(t, "the loss is noticed", func() bool { return !o.State().Following })
	if lost() {
		t.Error("the image counts as held without events")
	}
}
