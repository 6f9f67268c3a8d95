package attack_test

import (
	"fmt"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign/countersign/integration/node"
)

// descriptorOf returns the descriptor of an image for an index.
func descriptorOf(t *testing.T, image v1.Image) v1.Descriptor {
	t.Helper()
	return described(must(image.RawManifest())(t), node.Linux(runtime.GOARCH))
}

func (l *lab) wideIndexes(t *testing.T) {
	good, signed := l.signed(t, "shop/wide:v1", "signed, wide")
	evil := l.image(t, "evil, wide")
	absent := make([]v1.Descriptor, 10_000)
	for i := range absent {
		absent[i] = described(fmt.Append(nil, i), node.Linux("s390x"))
	}
	tests := map[string]struct {
		image  v1.Image
		absent int
		reason string // In the strict namespace; empty: admitted in the lax one.
	}{
		"10,000 with the image's":     {evil, 9_999, ""},
		"one more than are read":      {l.image(t, "evil, wider"), 10_000, "unavailable"},
		"as many around a signed one": {good, 10_000, byRelease(l, "unknown-origin", "unavailable")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			repository := fmt.Sprintf("aaa/wide-%d-%d", test.absent, len(name))
			l.push(t, repository+":plain", test.image)
			children := append([]v1.Descriptor{descriptorOf(t, test.image)}, absent[:test.absent]...)
			index := pushRawIndex(t, l.registry, repository+":v1", children)
			pull(t, l.Node, index.Reference)
			if test.reason == "" {
				l.runs(t, l.Node, lax, index.Reference, "evil, wide")
				l.refused(t, strict, node.Container{Image: index.Reference}, "unsigned")
				return
			}
			l.runs(t, l.Node, strict, signed.Reference, "signed, wide")
			l.refused(t, lax, node.Container{Image: index.Reference}, test.reason)
			l.refused(t, strict, node.Container{Image: index.Reference}, test.reason)
		})
	}
	l.runs(t, l.Node, strict, signed.Reference, "signed, wide")
}

func (l *lab) nestedIndexes(t *testing.T) {
	nested := func(image v1.Image, depth int) v1.ImageIndex {
		index := node.Index(node.Child{Manifest: image})
		for range depth - 1 {
			index = node.Index(node.Child{Manifest: index})
		}
		return index
	}
	for depth, reason := range map[int]string{3: "", 8: "", 9: "unavailable", 40: "unavailable"} {
		t.Run(fmt.Sprintf("%d deep", depth), func(t *testing.T) {
			marker := fmt.Sprintf("nested %d", depth)
			image := l.image(t, marker)
			name := fmt.Sprintf("shop/nested-%d", depth)
			signed := l.push(t, name+":plain", image)
			l.sign(t, signed)
			index := l.pushIndex(t, name+":v1", nested(image, depth))
			pull(t, l.Node, index.Reference)
			if reason == "" {
				l.runs(t, l.Node, strict, index.Reference, marker)
				return
			}
			l.refused(t, strict, node.Container{Image: index.Reference}, reason)
			l.refused(t, lax, node.Container{Image: index.Reference}, reason)
			// The same image under the name of the manifest itself is not affected.
			plain := l.registry.Host + "/" + name + ":plain"
			if l.Node.Release().ImagesReported() {
				l.runs(t, l.Node, strict, plain, marker)
			} else {
				pull(t, l.Node, plain)
				l.refused(t, strict, node.Container{Image: plain}, reason)
			}
			l.runs(t, l.Node, strict, signed.ByDigest(), marker)
		})
	}
}
