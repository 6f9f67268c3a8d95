package attack_test

import (
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/countersign/countersign/integration/node"
)

func (l *lab) oneConfigTwice(t *testing.T) {
	for i, order := range []string{"the signed one is pulled first", "the unsigned one is pulled first"} {
		t.Run(order, func(t *testing.T) {
			marker := fmt.Sprintf("twice %d", i)
			good, signed := l.signed(t, fmt.Sprintf("shop/twice-%d:v1", i), marker)
			other := l.push(t, fmt.Sprintf("aaa/twice-%d:v1", i), node.Wrap(good, map[string]string{"by": "the attacker"}))
			if other.Config != signed.Config || other.Digest == signed.Digest {
				t.Fatal("the two are not two manifests of one config")
			}
			if first := []node.Pushed{signed, other}[i]; first == signed {
				pull(t, l.Node, signed.Reference)
				pull(t, l.Node, other.Reference)
			} else {
				pull(t, l.Node, other.Reference)
				l.refused(t, strict, node.Container{Image: other.Config.String()}, "unsigned")
				pull(t, l.Node, signed.Reference)
			}
			l.runs(t, l.Node, strict, signed.Reference, marker)
			l.refused(t, strict, node.Container{Image: other.Reference}, "unsigned")
			// The ID means both images, and one accepted image is enough.
			l.runs(t, l.Node, strict, signed.Config.String(), marker)
		})
	}
}

// withEntrypoint returns an image with the same layers that runs something else.
func withEntrypoint(t *testing.T, image v1.Image, entrypoint ...string) v1.Image {
	t.Helper()
	config := must(image.ConfigFile())(t).DeepCopy()
	config.Config.Entrypoint = entrypoint
	return must(mutate.ConfigFile(image, config))(t)
}

func (l *lab) borrowedLayers(t *testing.T) {
	good, signed := l.signed(t, "shop/layers:v1", "signed layers")
	l.runs(t, l.Node, strict, signed.Reference, "signed layers")
	evil := withEntrypoint(t, good, "/witness", "print", "/marker", "/etc/hostname")
	for _, name := range []string{"aaa/layers:v1", "shop/layers:v2"} {
		t.Run(name, func(t *testing.T) {
			pushed := l.push(t, name, evil)
			pull(t, l.bare, pushed.Reference)
			l.begin(t, l.bare, strict, node.Container{Image: pushed.Reference})
			pull(t, l.Node, pushed.Reference)
			l.refused(t, strict, node.Container{Image: pushed.Reference}, "unsigned")
			l.refused(t, strict, node.Container{Image: pushed.Config.String()}, "unsigned")
		})
	}
	if l.Node.Release().ImagesReported() {
		l.runs(t, l.Node, strict, signed.Reference, "signed layers")
	} else {
		// Both images are in the repository, and nothing determines which of them would run.
		l.refused(t, strict, node.Container{Image: signed.Reference}, "unsigned")
	}
	l.runs(t, l.Node, strict, signed.ByDigest(), "signed layers")
	l.runs(t, l.Node, strict, signed.Config.String(), "signed layers")
}
