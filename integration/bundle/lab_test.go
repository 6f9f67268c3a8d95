package bundle_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// The namespaces: prod, and legacy where a signature need name no repository, ask for one by the key, for the image's
// repository; both asks for one by either key; exact asks for one for the image's very tag; unkeyed asks for one by
// builder's identity.
const (
	prod    = "prod"
	legacy  = "legacy"
	both    = "both"
	exact   = "exact"
	unkeyed = "unkeyed"
)

// builder signs without a key.
var builder = bundletest.Identity{Email: "build@example.com", Issuer: "https://issuer.example"}

// lab is a node with a daemon, on which both kinds of registries are pulled from.
type lab struct {
	*node.Node
	program    string
	daemon     *node.Daemon
	key, other node.Key
	sigstore   *bundletest.Sigstore
	pods       atomic.Int64
}

// site is one registry of a lab.
type site struct {
	*lab
	registry *node.Registry
}

func newLab(t *testing.T) *lab {
	t.Helper()
	tools := node.NewTools(t)
	directory := t.TempDir()
	l := &lab{
		Node:    node.Start(t, node.Config{Tools: tools, RequiredPlugins: []string{"countersign"}}),
		program: must(tools.BuildProgram(t.Context(), "./plugin/countersign", directory, false))(t),
		key:     must(tools.GenerateKey(t.Context(), directory, "operator"))(t),
		other:   must(tools.GenerateKey(t.Context(), directory, "other"))(t),

		sigstore: bundletest.NewSigstore(t),
	}
	exactly := node.Cosign(l.key.Public)
	exactly["signedIdentity"] = map[string]string{"type": "matchExact"}
	l.write(t, "", node.Reject())
	l.write(t, prod, node.Cosign(l.key.Public))
	l.write(t, legacy, node.Cosign(l.key.Public))
	l.write(t, both, node.Cosign(l.key.Public), node.Cosign(l.other.Public))
	l.write(t, exact, exactly)
	l.write(t, unkeyed, l.sigstore.Requirement(t, builder))
	l.daemon = node.NewDaemon(t, l.Node, node.DaemonConfig{Program: l.program, Settings: map[string]map[string]any{
		"bundles.namespaces": {legacy: "digest"},
	}})
	return l
}

// write writes a namespace's document: these requirements of every image.
func (l *lab) write(t *testing.T, namespace string, requirements ...node.Requirement) {
	t.Helper()
	no(t, l.WritePolicy(namespace, string(must(json.Marshal(map[string]any{"default": requirements}))(t))))
}

// must returns a result, and ends the test where there is an error instead.
func must[T any](result T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		no(t, err)
		return result
	}
}

// no ends the test where there is an error.
func no(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) image(t *testing.T, marker string) v1.Image {
	t.Helper()
	return must(s.Tools.Image(marker))(t)
}

// push pushes an image whose marker is its name.
func (s *site) push(t *testing.T, name string) node.Pushed {
	t.Helper()
	return must(s.registry.Push(t.Context(), name, s.image(t, name)))(t)
}

// signing is how an image is signed: by default with the key, as cosign 3 does by itself, with no name.
type signing struct {
	by        *node.Key
	name      string // The docker-reference among the annotations.
	recursive bool
	old       bool
}

func (s *site) sign(t *testing.T, image node.Pushed, how signing) {
	t.Helper()
	request := node.Signing{Image: image, Key: s.key, Recursive: how.recursive, OldFormat: how.old}
	if how.by != nil {
		request.Key = *how.by
	}
	if how.name != "" {
		request.Annotations = map[string]string{"docker-reference": how.name}
	}
	no(t, s.Tools.Sign(t.Context(), request))
}

// named signs an image as one has to for its repository.
func (s *site) named(t *testing.T, image node.Pushed) {
	t.Helper()
	s.sign(t, image, signing{name: image.Repository})
}

func (l *lab) pod(namespace string, image node.Pushed) node.Pod {
	return node.Pod{
		Namespace: namespace, Name: fmt.Sprintf("pod-%d", l.pods.Add(1)),
		Container: node.Container{Image: image.Reference},
	}
}

// runs runs a pod that must run, on the root filesystem with that marker; by default, the image's own: see push.
func (s *site) runs(t *testing.T, namespace string, image node.Pushed, marker ...string) {
	t.Helper()
	pod, err := s.RunPodUntil(t.Context(), s.pod(namespace, image))
	if err != nil {
		t.Errorf("%s in %s should run: %v", image.Reference, namespace, err)
		return
	}
	defer func() { no(t, pod.Remove(context.WithoutCancel(t.Context()))) }()
	want := strings.TrimPrefix(image.Reference, s.registry.Host+"/")
	if len(marker) > 0 {
		want = marker[0]
	}
	if got, err := pod.Marker(t.Context()); err != nil || got != want {
		t.Errorf("%s in %s runs %q, %v", image.Reference, namespace, got, err)
	}
}

// refused runs a pod that must be refused for a reason, and returns what its author reads and what is on record.
func (s *site) refused(t *testing.T, namespace string, image node.Pushed, reason string) (string, node.Decision) {
	t.Helper()
	const prefix = "SignatureValidationFailed: "
	pod := s.pod(namespace, image)
	running, err := s.RunPodUntil(t.Context(), pod)
	if err == nil {
		no(t, running.Remove(t.Context()))
		t.Fatalf("%s in %s runs, and should be refused (%s)", image.Reference, namespace, reason)
	}
	at := strings.Index(err.Error(), prefix)
	if at < 0 || !strings.HasSuffix(err.Error(), " ("+reason+")") {
		t.Fatalf("%s in %s should be refused (%s), and the error is: %v", image.Reference, namespace, reason, err)
	}
	decision := must(s.daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Pod == pod.Name && d.Reason == reason && d.Outcome == "deny"
	}))(t)
	return err.Error()[at:], decision
}

// says wants a text to have words in it.
func says(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("it does not say %q: %s", word, text)
		}
	}
}
