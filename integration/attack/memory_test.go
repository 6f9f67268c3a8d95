package attack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/integration/node"
)

// contents writes what pulls leave in containerd's stores. The pulls themselves would take containerd minutes.
type contents struct {
	ctx        context.Context
	t          *testing.T
	containerd *client.Client
}

// write writes a blob, with labels that keep what it refers to.
func (c contents) write(mediaType string, value any, refers ...digest.Digest) ocispec.Descriptor {
	c.t.Helper()
	raw := must(json.Marshal(value))(c.t)
	described := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	labels := map[string]string{}
	for i, blob := range refers {
		labels[fmt.Sprintf("containerd.io/gc.ref.content.m.%d", i)] = blob.String()
	}
	store := c.containerd.ContentStore()
	err := content.WriteBlob(c.ctx, store, described.Digest.String(), bytes.NewReader(raw), described,
		content.WithLabels(labels))
	if err != nil {
		c.t.Fatal(err)
	}
	return described
}

func (c contents) index(children []ocispec.Descriptor, refers ...digest.Digest) ocispec.Descriptor {
	c.t.Helper()
	return c.write(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	}, refers...)
}

func (c contents) name(name string, target ocispec.Descriptor) {
	c.t.Helper()
	if _, err := c.containerd.ImageService().Create(c.ctx, images.Image{Name: name, Target: target}); err != nil {
		c.t.Fatal(err)
	}
}

// absentees returns descriptors of manifests that are not on the node.
func absentees(what string, count, padding int) []ocispec.Descriptor {
	children := make([]ocispec.Descriptor, count)
	for i := range children {
		children[i] = ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(what, i)), Size: 500,
			Platform:    &ocispec.Platform{OS: "linux", Architecture: "s390x"},
			Annotations: map[string]string{"x": strings.Repeat("x", padding)},
		}
	}
	return children
}

// manyWide is how many images manyWideIndexes gives a node. The daemon reads large ones slowly, so as not to delay
// decisions: a hundred take minutes, and are for COUNTERSIGN_WIDE_INDEXES=100.
func manyWide(t *testing.T) int {
	t.Helper()
	count, set := os.LookupEnv("COUNTERSIGN_WIDE_INDEXES")
	if !set {
		return 16
	}
	return must(strconv.Atoi(count))(t)
}

// manyWideIndexes gives a node images that are as large as any that are read: indexes of 9,900 manifests in almost
// 4 MiB, and indexes of 250 in one, all of them with a manifest that is there; and images with a config each. The
// daemon's memory stays within the bound of a node that has a thousand ordinary images.
func (l *lab) manyWideIndexes(t *testing.T) {
	const most = 200 // MiB
	_, signed := l.signed(t, "shop/among-wide:v1", "signed among wide indexes")
	l.runs(t, l.Node, strict, signed.Reference, "signed among wide indexes")
	if err := l.daemon.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := l.memory(t, "VmHWM")
	containerd := must(client.New(l.ContainerdSocket(), client.WithDefaultNamespace("k8s.io")))(t)
	stored := contents{t.Context(), t, containerd}
	present := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: signed.Digest, Size: 500}
	for i := range manyWide(t) {
		name, what := fmt.Sprintf("wide-%d.example/x:v1", i), fmt.Sprint("wide ", i, " ")
		if i%8 > 0 {
			stored.name(name, stored.index(append(absentees(what, 9_900, 170), present)))
			continue
		}
		var narrow []ocispec.Descriptor
		var refers []digest.Digest
		for j := range 39 {
			narrow = append(narrow, stored.index(append(absentees(fmt.Sprint(what, j, " "), 250, 0), present)))
			refers = append(refers, narrow[j].Digest)
		}
		stored.name(name, stored.index(narrow, refers...))
	}
	for i := range 100 {
		config := stored.write(ocispec.MediaTypeImageConfig, ocispec.Image{Author: fmt.Sprint(i)})
		manifest := stored.write(ocispec.MediaTypeImageManifest, ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config,
		}, config.Digest)
		stored.name(fmt.Sprintf("many-%d.example/x:v%d", i%20, i), manifest)
	}
	if err := containerd.Close(); err != nil {
		t.Fatal(err)
	}
	l.runs(t, l.Node, strict, signed.Reference, "signed among wide indexes")
	peak := l.memory(t, "VmHWM")
	// Everything is read again.
	if err := l.daemon.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.awaitRead(t)
	l.runs(t, l.Node, strict, signed.Reference, "signed among wide indexes")
	again := l.memory(t, "VmHWM")
	t.Logf("countersign's memory: at most %d MiB before, %d MiB with the images, %d MiB after a restart",
		before, peak, again)
	if peak > most || again > most {
		t.Errorf("countersign needed %d MiB and after a restart %d MiB, more than %d", peak, again, most)
	}
}

// awaitRead waits until the daemon has read all images since its last start.
func (l *lab) awaitRead(t *testing.T) {
	t.Helper()
	err := node.Until(t.Context(), "all images to be read", func(context.Context) error {
		records, err := l.daemon.Log("")
		read := false
		for _, record := range records {
			switch record["msg"] {
			case "stopping":
				read = false
			case "receiving containerd's events":
				read = true
			}
		}
		if err == nil && !read {
			err = errors.New("the daemon has not reported it")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
