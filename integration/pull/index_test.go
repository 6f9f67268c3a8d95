package pull_test

import (
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/integration/node"
)

// index pushes an index for two platforms, and also returns what this machine runs of it.
func (l *lab) index(t *testing.T, name string) (index, instance node.Pushed) {
	t.Helper()
	here, elsewhere := l.image(t, name), must(l.tools.ImageFor(name, *node.Linux("s390x")))(t)
	index = must(l.registry.PushIndex(t.Context(), name, node.Index(
		node.Child{Manifest: elsewhere, Platform: node.Linux("s390x")},
		node.Child{Manifest: here, Platform: node.Linux(runtime.GOARCH)},
	)))(t)
	instance = node.Pushed{
		Repository: index.Repository, Digest: digest.Digest(must(here.Digest())(t).String()),
	}
	instance.Reference = instance.ByDigest()
	return index, instance
}

// indexes are pulled by the name of an index, of which the verifier is told no more than its digest.
func (l *lab) indexes(t *testing.T) {
	onIndex, _ := l.index(t, "shop/signed-index:v1")
	l.sign(t, onIndex, bundle)
	onInstance, instance := l.index(t, "shop/signed-instance:v1")
	l.sign(t, instance, old)
	for _, image := range []node.Pushed{onIndex, onInstance} {
		l.pulls(t, image)
		before := len(asked(t, l.registry, l.repository(image)))
		l.runsAtOnce(t, prod, image)
		if after := asked(t, l.registry, l.repository(image))[before:]; len(after) > 0 {
			t.Errorf("after the pull the registry was asked %+v", after)
		}
	}
	unsigned, instance := l.index(t, "shop/unsigned-index:v1")
	l.refusesPull(t, unsigned, "unsigned")
	l.refusesPull(t, instance, "unsigned")
}

// copies pulls what somebody copied, with all that was signed of it, to where it does not belong.
func (l *lab) copies(t *testing.T) {
	image := l.signed(t, "shop/original:v1", bundle)
	l.pulls(t, image)
	copied := must(l.registry.Push(t.Context(), "shop/copied:v1", l.image(t, "shop/original:v1")))(t)
	l.refusesPull(t, copied, "unsigned")
	moved := must(l.registry.Push(t.Context(), "shop/moved:v1", l.image(t, "shop/original:v1")))(t)
	no(t, l.registry.CopyReferrers(t.Context(), image, "shop/moved"))
	l.refusesPull(t, moved, "rejected")
	l.runsAtOnce(t, prod, image)
}
