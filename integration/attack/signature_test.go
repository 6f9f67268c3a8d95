package attack_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/integration/node"
)

const simpleSigning = types.MediaType("application/vnd.dev.cosign.simplesigning.v1+json")

// junk makes layers that look like an image's signatures: their number and size are given.
func junk(t *testing.T, mediaType types.MediaType, count, size int) v1.Image {
	t.Helper()
	addenda := make([]mutate.Addendum, count)
	for i := range addenda {
		contents := fmt.Sprintf("%-*d", size, i)
		addenda[i] = mutate.Addendum{
			Layer:       static.NewLayer([]byte(contents), mediaType),
			Annotations: map[string]string{"dev.cosignproject.cosign/signature": "MEUCIQ=="},
		}
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	return must(mutate.Append(mutate.ConfigMediaType(image, types.OCIConfigJSON), addenda...))(t)
}

func (l *lab) junkSignatures(t *testing.T) {
	good, victim := l.signed(t, "shop/junk:v1", "signed among junk")
	tests := map[string]struct {
		repository string
		signatures v1.Image
		reason     string
	}{
		"no signatures": {"aaa/junk-none", nil, "unsigned"},
		"64 of them":    {"aaa/junk-many", junk(t, simpleSigning, 64, 100), "rejected"},
		"1 MiB each":    {"aaa/junk-large", junk(t, simpleSigning, 40, 1<<20), "rejected"},
		"a wrong type":  {"aaa/junk-types", junk(t, types.OCILayer, 3, 100), "unsigned"},
	}
	for _, test := range tests {
		pushed := l.push(t, test.repository+":v1", good)
		if test.signatures != nil {
			l.push(t, test.repository+":"+node.SignatureTag(pushed.Digest), test.signatures)
		}
		l.runs(t, l.Node, lax, pushed.Reference, "signed among junk")
	}
	l.runs(t, l.Node, strict, victim.Reference, "signed among junk")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l.refused(t, strict, node.Container{Image: l.registry.Host + "/" + test.repository + ":v1"}, test.reason)
		})
	}
	// The invalid signatures are known now, and must not affect the good repository either.
	l.runs(t, l.Node, strict, victim.Reference, "signed among junk")
	l.runs(t, l.Node, strict, victim.Config.String(), "signed among junk")
}

// copySignatures copies the signatures of an image to another repository, as the signatures of another image.
func (l *lab) copySignatures(t *testing.T, from node.Pushed, repository string, manifest digest.Digest) {
	t.Helper()
	source := strings.TrimPrefix(from.Repository, l.registry.Host+"/")
	raw, _, err := l.registry.Manifest(t.Context(), source+":"+node.SignatureTag(from.Digest))
	if err != nil {
		t.Fatal(err)
	}
	var parsed v1.Manifest
	if err := json.Unmarshal(raw, &parsed); err != nil {
		t.Fatal(err)
	}
	for _, layer := range append(parsed.Layers, parsed.Config) {
		blob := must(l.registry.Blob(t.Context(), source, digest.Digest(layer.Digest.String())))(t)
		must(l.registry.PushBlob(t.Context(), repository, blob))(t)
	}
	tag := repository + ":" + node.SignatureTag(manifest)
	must(l.registry.PushManifest(t.Context(), tag, string(parsed.MediaType), raw))(t)
}

func (l *lab) copiedSignatures(t *testing.T) {
	good, signed := l.signed(t, "shop/copied:v1", "signed and copied")
	l.runs(t, l.Node, strict, signed.Reference, "signed and copied")
	tests := map[string]struct {
		name   string
		image  v1.Image
		marker string
	}{
		"to the attacker's image":                        {"aaa/copied", l.image(t, "copied evil"), "copied evil"},
		"to the attacker's image in the same repository": {"shop/copied", l.image(t, "pushed evil"), "pushed evil"},
		"with the image to another repository":           {"aaa/moved", good, "signed and copied"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pushed := l.push(t, test.name+":copy", test.image)
			l.copySignatures(t, signed, test.name, pushed.Digest)
			l.runs(t, l.Node, lax, pushed.Reference, test.marker)
			l.refused(t, strict, node.Container{Image: pushed.Reference}, "rejected")
		})
	}
	l.runs(t, l.Node, strict, signed.Reference, "signed and copied")
}
