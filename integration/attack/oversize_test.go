package attack_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/integration/node"
)

// memory returns the daemon's memory in MiB from the kernel: VmRSS, or VmHWM, the peak.
func (l *lab) memory(t *testing.T, figure string) int {
	t.Helper()
	process := l.daemon.Process()
	if process == nil {
		t.Fatal("countersign does not run")
	}
	status := must(os.ReadFile(fmt.Sprintf("/proc/%d/status", process.Pid)))(t)
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == figure+":" {
			return must(strconv.Atoi(fields[1]))(t) >> 10
		}
	}
	t.Fatalf("there is no %s in %s", figure, status)
	return 0
}

// described returns a descriptor that declares bytes to be an image manifest.
func described(contents []byte, platform *v1.Platform) v1.Descriptor {
	hash, err := v1.NewHash(digest.FromBytes(contents).String())
	if err != nil {
		panic(err) // A digest is always a valid hash.
	}
	return v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(len(contents)), Digest: hash, Platform: platform}
}

// pushRawIndex pushes an index whose children need not exist.
func pushRawIndex(t *testing.T, registry *node.Registry, name string, children []v1.Descriptor) node.Pushed {
	t.Helper()
	raw := must(json.Marshal(v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: children,
	}))(t)
	return must(registry.PushManifest(t.Context(), name, string(types.OCIImageIndex), raw))(t)
}

// pushOversize pushes an index that lists one manifest of the image, with five MiB of white space. Only the attacker's
// own registry accepts it; others have a limit of four.
func pushOversize(t *testing.T, registry *node.Registry, repository string, image v1.Image) node.Pushed {
	t.Helper()
	pushed := must(registry.Push(t.Context(), repository+":plain", image))(t)
	small := strings.TrimSpace(string(must(image.RawManifest())(t)))
	large := []byte(strings.TrimSuffix(small, "}") + strings.Repeat(" ", 5<<20) + "}")
	must(registry.PushManifest(t.Context(), repository, string(types.OCIManifestSchema1), large))(t)
	child := described(large, node.Linux(runtime.GOARCH))
	index := pushRawIndex(t, registry, repository+":v1", []v1.Descriptor{child})
	index.Config = pushed.Config
	return index
}

// oversizeManifests pulls manifests that are too large to be read: one with the config of a signed image, and one with
// the attacker's own config. The attacker's image is refused even in a namespace that accepts everything, and so is the
// signed image under the attacker's name. Other images are not affected.
func (l *lab) oversizeManifests(t *testing.T) {
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	good, signed := l.signed(t, "shop/oversize:v1", "signed, oversize")
	around := pushOversize(t, registry, "aaa/oversize", good)
	evil := pushOversize(t, registry, "bbb/oversize", l.image(t, "evil, oversize"))
	pull(t, l.Node, around.Reference)
	pull(t, l.Node, evil.Reference)
	refused := func() {
		t.Helper()
		l.refused(t, lax, node.Container{Image: evil.Reference}, "unavailable")
		l.refused(t, strict, node.Container{Image: evil.Config.String()}, "unavailable")
		l.refused(t, strict, node.Container{Image: around.Reference}, byRelease(l, "unknown-origin", "unavailable"))
		l.runs(t, l.Node, strict, signed.Reference, "signed, oversize")
	}
	l.runs(t, l.Node, strict, signed.Reference, "signed, oversize")
	refused()
	if err := l.daemon.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused()
}

// bulk is a layer with at least the given number of bytes.
func bulk(t *testing.T, size int64) []byte {
	t.Helper()
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: "bulk", Mode: 0o644, Size: size}
	err := writer.WriteHeader(header)
	_, writeErr := writer.Write(make([]byte, size))
	if err := errors.Join(err, writeErr, writer.Close()); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

// hugeManifest pulls 300 MiB that an index declares to be a manifest of another platform. An image has the same blob as
// a layer, so that containerd stores it and does not treat it as a manifest. Otherwise containerd would read all of it
// about twenty times, which takes minutes and which countersign cannot prevent.
func (l *lab) hugeManifest(t *testing.T) {
	// If the daemon read it even once, it would need more than this, in MiB.
	const most = 200
	good, signed := l.signed(t, "shop/huge:v1", "signed, huge")
	l.runs(t, l.Node, strict, signed.Reference, "signed, huge")
	before := l.memory(t, "VmHWM")
	huge := bulk(t, 300<<20)
	carrier := must(mutate.AppendLayers(l.image(t, "carrier"), static.NewLayer(huge, types.OCIUncompressedLayer)))(t)
	pull(t, l.Node, l.push(t, "aaa/carrier:v1", carrier).Reference)
	var indexes []node.Pushed
	for repository, image := range map[string]v1.Image{"aaa/huge": l.image(t, "evil, huge"), "bbb/huge": good} {
		l.push(t, repository+":plain", image)
		children := []v1.Descriptor{
			described(huge, node.Linux("s390x")), descriptorOf(t, image),
		}
		indexes = append(indexes, pushRawIndex(t, l.registry, repository+":v1", children))
		pull(t, l.Node, l.registry.Host+"/"+repository+":v1")
	}
	evil := l.registry.Host + "/aaa/huge:v1"
	if l.Node.Release().ImagesReported() {
		l.runs(t, l.Node, lax, evil, "evil, huge")
	} else {
		l.refused(t, lax, node.Container{Image: evil}, "unavailable")
	}
	l.refused(t, strict, node.Container{Image: evil}, byRelease(l, "unsigned", "unavailable"))
	l.runs(t, l.Node, strict, signed.Reference, "signed, huge")
	peak, now := l.memory(t, "VmHWM"), l.memory(t, "VmRSS")
	if err := l.daemon.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, index := range indexes {
		l.awaitNotRead(t, index.Digest)
	}
	l.runs(t, l.Node, strict, signed.Reference, "signed, huge")
	again := l.memory(t, "VmHWM")
	t.Logf("countersign's memory: at most %d MiB before, %d MiB with the manifest (%d MiB then), %d MiB after a restart",
		before, peak, now, again)
	if peak > most || again > most {
		t.Errorf("countersign needed %d MiB and after a restart %d MiB, more than %d", peak, again, most)
	}
}

// awaitNotRead waits until the daemon has tried to read an image since its last start, and could not read all of it.
func (l *lab) awaitNotRead(t *testing.T, target digest.Digest) {
	t.Helper()
	err := retry(t, func() (bool, error) {
		records, err := l.daemon.Log("")
		found := false
		for _, record := range records {
			switch {
			case record["msg"] == "stopping":
				found = false
			case record["msg"] == "image not read" && record["target"] == target.String():
				found = true
			}
		}
		return found, err
	})
	if err != nil {
		t.Errorf("the daemon does not report that it could not read %s: %v", target, err)
	}
}
