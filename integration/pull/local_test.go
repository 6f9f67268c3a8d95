package pull_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// local pulls as containerd does in kind and on EKS: it discards layers that are unpacked, and then its CRI plugin
// pulls without the transfer service, which is the part that runs image verifiers. The verifier is installed, and not
// run.
func (w *workshop) local(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.Distribution(), nil)
	rig.OK(t, l.DropIn("98-discard.toml", `version = 3
[plugins."io.containerd.cri.v1.images"]
  discard_unpacked_layers = true
`))
	rig.OK(t, l.RestartContainerd(t.Context()))
	l.Start(t)
	t.Run("the daemon says that the verifier is not run", func(t *testing.T) {
		rig.Logged(t, l.Daemon, "the image verifier is not active: signatures are fetched after an image is pulled",
			"discard_unpacked_layers")
	})
	unsigned := l.Push(t, "shop/local-unsigned:v1")
	t.Run("a signed image runs", func(t *testing.T) {
		for name, image := range map[string]node.Pushed{
			"with a bundle":         l.signed(t, "shop/local:v1", bundle),
			"with an old signature": l.signed(t, "shop/local-old:v1", old),
		} {
			t.Run(name, func(t *testing.T) { l.Begin(t, prod, image) })
			t.Run(name+", prefetched", func(t *testing.T) {
				awaitStored(t, l.Daemon, image)
				l.runsAtOnce(t, prod, image)
			})
		}
	})
	t.Run("an unsigned image is pulled, and refused when its container is created", func(t *testing.T) {
		l.Refused(t, prod, unsigned, "unsigned")
		if id := rig.Must(l.CRI.ImageID(t.Context(), unsigned.Reference))(t); id == "" {
			t.Error("it is not on the node")
		}
		for _, reference := range []string{unsigned.ByDigest(), unsigned.Config.String()} {
			l.Refused(t, prod, node.Pushed{Reference: reference}, "unsigned")
		}
	})
	t.Run("an index", func(t *testing.T) {
		index, _ := l.Index(t, "shop/local-index:v1")
		l.sign(t, index, bundle)
		l.Begin(t, prod, index)
	})
	t.Run("the layers are gone, and all runs without a registry and after restarts", l.withoutLayers)
	if decisions, err := l.Daemon.Log("pull"); err != nil || len(decisions) > 0 {
		t.Errorf("the verifier was run: %v, %v", decisions, err)
	}
}

// withoutLayers: manifests and configs are enough to decide.
func (l *lab) withoutLayers(t *testing.T) {
	image := l.signed(t, "shop/local-kept:v1", bundle)
	l.Begin(t, prod, image)
	layers := rig.Must(l.Image(t, l.Marker(image)).Layers())(t)
	rig.Eventually(t, "the layers to be discarded", func() error {
		// This has containerd collect garbage, which it does now and then.
		if _, err := l.Ctr(t.Context(), "content", "prune", "references"); err != nil {
			return err
		}
		stored, err := l.Ctr(t.Context(), "content", "ls", "--quiet")
		if err != nil {
			return err
		}
		for _, d := range []string{image.Digest.String(), image.Config.String()} {
			if !strings.Contains(stored, d) {
				t.Fatalf("the manifest or config %s is gone too", d)
			}
		}
		for _, layer := range layers {
			if d := rig.Must(layer.Digest())(t); strings.Contains(stored, d.String()) {
				return fmt.Errorf("layer %s is stored", d)
			}
		}
		return nil
	})
	rig.OK(t, l.Registry.Stop())
	for what, restart := range map[string]func() error{
		"nothing": func() error { return nil },
		"daemon":  func() error { return l.Daemon.Restart(t.Context()) },
		"containerd": func() error {
			return errors.Join(l.RestartContainerd(t.Context()), l.Daemon.Ready(t.Context()))
		},
	} {
		rig.OK(t, restart())
		t.Logf("restarted: %s", what)
		l.Begin(t, prod, image)
	}
}
