package pull_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// prod is a namespace that, like the system policy, requires a signature by the key for images in the registry's shop,
// and rejects everything else. No namespace is less strict, unless a test adds one.
const prod = "prod"

// workshop is shared by all labs.
type workshop struct {
	*rig.Workshop
	verifier string
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := rig.NewWorkshop(t)
	return &workshop{Workshop: w, verifier: w.Build(t, "./plugin/verifier/countersign-verifier")}
}

// lab is a node whose containerd calls the image verifier before it pulls.
type lab struct {
	*rig.Rig
	verifier string
	faults   *faults
}

// inProcess configures a registry with the referrers API, into which faults can be injected.
func (w *workshop) inProcess() node.RegistryConfig { return node.RegistryConfig{InProcess: true} }

// settings are the daemon's settings, by table.
type settings = map[string]map[string]any

// newLab boots a node, and configures a daemon and the verifier for it, without starting the daemon.
func (w *workshop) newLab(t *testing.T, registry node.RegistryConfig, settings settings) *lab {
	t.Helper()
	faults := &faults{}
	if registry.InProcess {
		registry.Wrap = faults.wrap
	}
	l := &lab{Rig: w.NewRig(t, node.NewRegistry(t, registry)), verifier: w.verifier, faults: faults}
	l.Write(t, "", l.signatures())
	l.Write(t, prod, l.signatures())
	l.Daemon = l.newDaemon(t, settings)
	rig.OK(t, l.InstallVerifier(w.verifier, l.Daemon))
	return l
}

// newDaemon configures a daemon, which is terminated when the test ends.
func (l *lab) newDaemon(t *testing.T, settings settings) *node.Daemon {
	t.Helper()
	return l.PrepareDaemon(t, node.DaemonConfig{Settings: settings})
}

func (l *lab) signatures() node.Policy {
	return node.Policy{Scopes: map[string]node.Requirement{l.Registry.Host + "/shop": node.Cosign(l.Key.Public)}}
}

// format is how an image is signed.
type format uint8

const (
	bundle format = iota // The default format of cosign 3, with the repository's name in it.
	old                  // Under the tag sha256-<hex>.sig.
)

func (l *lab) sign(t *testing.T, pushed node.Pushed, format format) {
	t.Helper()
	rig.OK(t, l.Tools.Sign(t.Context(), node.Signing{
		Image: pushed, Key: l.Key, OldFormat: format == old, DockerConfig: l.Registry.DockerConfig(),
		Annotations: map[string]string{"docker-reference": pushed.Repository},
	}))
}

// signed pushes an image and signs it.
func (l *lab) signed(t *testing.T, name string, format format) node.Pushed {
	t.Helper()
	pushed := l.Push(t, name)
	l.sign(t, pushed, format)
	return pushed
}

// tryPull pulls an image without a pod, and returns the audit record.
func (l *lab) tryPull(t *testing.T, image node.Pushed) error {
	t.Helper()
	_, err := l.CRI.PullImage(t.Context(), image.Reference, nil, nil)
	return err
}
