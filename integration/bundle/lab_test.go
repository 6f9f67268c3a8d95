package bundle_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// The namespaces: prod requires a signature by the key for the image's repository; legacy too, but the signature need
// not name a repository; both requires one by either key; exact requires one for the image's exact tag; unkeyed
// requires one by builder's identity.
const (
	prod    = "prod"
	legacy  = "legacy"
	both    = "both"
	exact   = "exact"
	unkeyed = "unkeyed"
)

// builder signs without a key.
var builder = bundletest.Identity{Email: "build@example.com", Issuer: "https://issuer.example"}

// lab is a node with a daemon that uses both kinds of registries.
type lab struct {
	*rig.Rig
	other    node.Key
	sigstore *bundletest.Sigstore
}

// site is a lab with one of its registries.
type site struct{ lab }

func newLab(t *testing.T) *lab {
	t.Helper()
	w := rig.NewWorkshop(t)
	l := &lab{Rig: w.NewRig(t, nil), other: w.NewKey(t, "other"), sigstore: bundletest.NewSigstore(t)}
	exactly := node.Cosign(l.Key.Public)
	exactly["signedIdentity"] = map[string]string{"type": "matchExact"}
	l.require(t, "", node.Reject())
	l.require(t, prod, node.Cosign(l.Key.Public))
	l.require(t, legacy, node.Cosign(l.Key.Public))
	l.require(t, both, node.Cosign(l.Key.Public), node.Cosign(l.other.Public))
	l.require(t, exact, exactly)
	l.require(t, unkeyed, l.sigstore.Requirement(t, builder))
	l.startDaemon(t, map[string]map[string]any{"bundles.namespaces": {legacy: "digest"}})
	return l
}

// startDaemon starts the lab's daemon with settings.
func (l *lab) startDaemon(t *testing.T, settings map[string]map[string]any) {
	t.Helper()
	l.Daemon = l.PrepareDaemon(t, node.DaemonConfig{Settings: settings})
	l.Start(t)
}

// site starts a registry for the lab.
func (l *lab) site(t *testing.T, registry node.RegistryConfig) *site {
	t.Helper()
	at := &site{*l}
	at.Rig = l.With(node.NewRegistry(t, registry))
	return at
}

// require writes a namespace's document with these requirements for every image.
func (l *lab) require(t *testing.T, namespace string, requirements ...node.Requirement) {
	t.Helper()
	document := rig.Must(json.Marshal(map[string]any{"default": requirements}))(t)
	rig.OK(t, l.WritePolicy(namespace, string(document)))
}

// signing is how an image is signed: by default with the key, in cosign 3's default format, without a name.
type signing struct {
	by        *node.Key
	name      string // The annotation docker-reference.
	recursive bool
	old       bool
}

func (s *site) sign(t *testing.T, image node.Pushed, how signing) {
	t.Helper()
	request := node.Signing{Image: image, Key: s.Key, Recursive: how.recursive, OldFormat: how.old}
	if how.by != nil {
		request.Key = *how.by
	}
	if how.name != "" {
		request.Annotations = map[string]string{"docker-reference": how.name}
	}
	rig.OK(t, s.Tools.Sign(t.Context(), request))
}

// named signs an image with the name of its repository, as the policies require.
func (s *site) named(t *testing.T, image node.Pushed) {
	t.Helper()
	s.sign(t, image, signing{name: image.Repository})
}

// runs runs a pod that must run on the root filesystem with that marker; by default, the image's own.
func (s *site) runs(t *testing.T, namespace string, image node.Pushed, marker ...string) {
	t.Helper()
	pod, err := s.RunPodUntil(t.Context(), s.Pod(namespace, image))
	if err != nil {
		t.Errorf("%s in %s should run: %v", image.Reference, namespace, err)
		return
	}
	defer func() { rig.OK(t, pod.Remove(context.WithoutCancel(t.Context()))) }()
	want := s.Marker(image)
	if len(marker) > 0 {
		want = marker[0]
	}
	rig.WantMarker(t, pod, want)
}

// says fails the test unless a text contains words.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("it does not say %q: %s", word, text)
		}
	}
}
