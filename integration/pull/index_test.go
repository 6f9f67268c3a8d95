package pull_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// indexes are pulled by the name of an index, of which the verifier receives only the digest.
func (l *lab) indexes(t *testing.T) {
	onIndex, _ := l.Index(t, "shop/signed-index:v1")
	l.sign(t, onIndex, bundle)
	onInstance, instance := l.Index(t, "shop/signed-instance:v1")
	l.sign(t, instance, old)
	for _, image := range []node.Pushed{onIndex, onInstance} {
		l.Pull(t, image)
		before := len(asked(t, l.Registry, l.repository(image)))
		l.runsAtOnce(t, prod, image)
		if after := asked(t, l.Registry, l.repository(image))[before:]; len(after) > 0 {
			t.Errorf("after the pull the registry was asked %+v", after)
		}
	}
	unsigned, instance := l.Index(t, "shop/unsigned-index:v1")
	l.refusesPull(t, unsigned, "unsigned")
	l.refusesPull(t, instance, "unsigned")
}

// copies pulls an image that somebody copied with its signatures to another repository.
func (l *lab) copies(t *testing.T) {
	image := l.signed(t, "shop/original:v1", bundle)
	l.Pull(t, image)
	copied := rig.Must(l.Registry.Push(t.Context(), "shop/copied:v1", l.Image(t, "shop/original:v1")))(t)
	l.refusesPull(t, copied, "unsigned")
	moved := rig.Must(l.Registry.Push(t.Context(), "shop/moved:v1", l.Image(t, "shop/original:v1")))(t)
	rig.OK(t, l.Registry.CopyReferrers(t.Context(), image, "shop/moved"))
	l.refusesPull(t, moved, "rejected")
	l.runsAtOnce(t, prod, image)
}
