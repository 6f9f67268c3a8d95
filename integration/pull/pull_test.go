package pull_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func TestPull(t *testing.T) {
	w := newWorkshop(t)
	t.Run("an image is pulled", w.pulled)
	t.Run("a namespace is in audit mode", w.audited)
	t.Run("the daemon does not answer", w.silent)
	t.Run("the registry fails", w.failing)
	t.Run("the daemon fails", w.crashing)
	t.Run("images come by other ways", w.otherWays)
	t.Run("containerd pulls without the verifier", w.local)
	t.Run("signatures are carried", w.carried)
	t.Run("signatures are on a lookaside", w.lookaside)
	t.Run("registries are reached as the node reaches them", w.reached)
	t.Run("the sandbox image is refused", w.sandbox)
	t.Run("the daemon says what containerd does with pulls", w.consequences)
}

func (w *workshop) pulled(t *testing.T) {
	t.Parallel()
	for name, registry := range map[string]node.RegistryConfig{
		"from a registry with the referrers API":    w.inProcess(),
		"from a registry without the referrers API": w.Distribution(),
	} {
		t.Run(name, func(t *testing.T) {
			l := w.newLab(t, registry, nil)
			l.Start(t)
			t.Run("that is signed", l.firstContainers)
			t.Run("that is signed in the old format, as a referrer", l.referrers)
			t.Run("that is not signed", l.unsignedPull)
			t.Run("that every policy rejects", l.rejectedPull)
			t.Run("that is signed under no name", l.namelessPull)
			t.Run("that is an index", l.indexes)
			t.Run("that is a copy", l.copies)
			t.Run("and the registry is stopped when a namespace is added", l.registryGone)
		})
	}
}

// firstContainers pulls signed images and creates their first containers, without further requests to the registry.
func (l *lab) firstContainers(t *testing.T) {
	images := []node.Pushed{l.signed(t, "shop/first:v1", bundle), l.signed(t, "shop/first-old:v1", old)}
	before := make(map[node.Pushed]int)
	for _, image := range images {
		l.Pull(t, image)
		before[image] = len(asked(t, l.Registry, l.repository(image)))
		l.runsAtOnce(t, prod, image)
		l.runsAtOnce(t, "plain", image)
	}
	l.prefetches(t)
	for _, image := range images {
		if after := asked(t, l.Registry, l.repository(image))[before[image]:]; len(after) > 0 {
			t.Errorf("after the pull of %s the registry was asked %+v", image.Reference, after)
		}
	}
}

// referrers pulls and runs images with signatures of the old format that are attached as OCI 1.1 referrers.
func (l *lab) referrers(t *testing.T) {
	signed, forged := l.Push(t, "shop/referred:v1"), l.Push(t, "shop/referred-forged:v1")
	for image, key := range map[node.Pushed]node.Key{signed: l.Key, forged: l.NewKey(t, "another")} {
		rig.OK(t, l.Tools.Sign(t.Context(), node.Signing{Image: image, Key: key, Referrer: true}))
	}
	l.Pull(t, signed)
	l.runsAtOnce(t, prod, signed)
	l.refusesPull(t, forged, "rejected")
	l.imports(t, forged)
	refusal := l.Refused(t, prod, forged, "rejected")
	if !strings.Contains(refusal.Detail, l.Key.Public) {
		t.Errorf("on record is no key: %s", refusal.Detail)
	}
}

// prefetches waits until the daemon has checked for every image on the node whether there is something to fetch: the
// result for an image that arrived in another way is known, and none is waiting.
func (l *lab) prefetches(t *testing.T) {
	t.Helper()
	last := l.signed(t, fmt.Sprintf("shop/last-%d:v1", l.Number()), bundle)
	l.imports(t, last)
	awaitStored(t, l.Daemon, last)
	rig.Eventually(t, "nothing to be waiting", func() error {
		waiting, err := l.Daemon.Metric(t.Context(), "countersign_prefetch_images_waiting")
		if err == nil && waiting > 0 {
			err = fmt.Errorf("%v images are", waiting)
		}
		return err
	})
}

func (l *lab) unsignedPull(t *testing.T) {
	image := l.Push(t, "shop/unsigned:v1")
	before := len(asked(t, l.Registry, l.repository(image)))
	said := l.refusesPull(t, image, "unsigned")
	if !strings.Contains(said, image.Reference) {
		t.Errorf("it does not say which image: %s", said)
	}
	byDigest := image
	byDigest.Reference = image.ByDigest()
	l.refusesPull(t, byDigest, "unsigned")
	requests := asked(t, l.Registry, l.repository(image))[before:]
	if slices.ContainsFunc(requests, isBlob) {
		t.Errorf("layers were requested: %+v", requests)
	}
	if id := rig.Must(l.CRI.ImageID(t.Context(), image.Reference))(t); id != "" {
		t.Errorf("it is on the node: %s", id)
	}
	l.sign(t, image, bundle)
	rig.Eventually(t, "a signature that was made afterwards", func() error { return l.tryPull(t, image) })
	l.runsAtOnce(t, prod, image)
}

// namelessPull pulls an image whose signature names no repository; no namespace on this node accepts it.
func (l *lab) namelessPull(t *testing.T) {
	image := l.Push(t, "shop/nameless:v1")
	rig.OK(t, l.Tools.Sign(t.Context(), node.Signing{Image: image, Key: l.Key}))
	said := l.refusesPull(t, image, "rejected")
	if !strings.Contains(said, "names no repository") || !strings.Contains(said, "-a docker-reference=") {
		t.Errorf("it does not say how to sign: %s", said)
	}
}

// rejectedPull pulls an image of which no document requires a signature, so none is fetched.
func (l *lab) rejectedPull(t *testing.T) {
	image := l.Push(t, "elsewhere/rejected:v1")
	before := len(asked(t, l.Registry, l.repository(image)))
	l.refusesPull(t, image, "rejected")
	for _, request := range asked(t, l.Registry, l.repository(image))[before:] {
		// containerd resolves the tag; no other request is necessary.
		if request.Method != http.MethodHead || !strings.HasPrefix(request.Path, "/v2/elsewhere/rejected/manifests/v1") {
			t.Errorf("the registry received %+v", request)
		}
	}
}

// registryGone adds a namespace while the registry is down: the evidence that was fetched for the pull is sufficient.
func (l *lab) registryGone(t *testing.T) {
	for _, format := range []format{bundle, old} {
		image := l.signed(t, fmt.Sprintf("shop/kept-%d:v1", format), format)
		l.Pull(t, image)
		rig.OK(t, l.Registry.Stop())
		namespace := fmt.Sprintf("added-%d", format)
		added := l.signatures()
		added.Scopes["example.com/only-in-"+namespace] = node.Reject()
		l.Write(t, namespace, added)
		rig.Logged(t, l.Daemon, "policies loaded", namespace)
		l.runsAtOnce(t, namespace, image)
		rig.OK(t, l.Daemon.Restart(t.Context()))
		l.runsAtOnce(t, namespace, image)
		rig.OK(t, l.Registry.Start(t.Context()))
	}
}

// audited pulls an image that only a namespace in audit mode can run, because audit mode refuses nothing.
func (w *workshop) audited(t *testing.T) {
	t.Parallel()
	const trial = "trial"
	l := w.newLab(t, w.Distribution(), settings{"enforce.namespaces": {trial: "audit"}})
	l.Start(t)
	for _, image := range []node.Pushed{l.Push(t, "shop/unsigned:v1"), l.Push(t, "elsewhere/rejected:v1")} {
		l.Pull(t, image)
		pod, err := l.RunPod(t.Context(), l.Pod(trial, image))
		rig.OK(t, err)
		rig.OK(t, pod.Remove(t.Context()))
	}
	l.Refused(t, prod, node.Pushed{Reference: l.Registry.Host + "/shop/unsigned:v1"}, "unsigned")
	l.Refused(t, prod, node.Pushed{Reference: l.Registry.Host + "/elsewhere/rejected:v1"}, "rejected")
}
