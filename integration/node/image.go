package node

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image makes an image for linux and this machine's architecture with the marker in the file /marker. Its entrypoint,
// the program witness, prints that file and sleeps until SIGTERM, so a container's log shows on which root filesystem
// it runs. The command "/witness print PATH…" prints files and exits. Images with the same marker are equal.
func (t *Tools) Image(marker string) (v1.Image, error) {
	return t.ImageFor(marker, v1.Platform{OS: "linux", Architecture: runtime.GOARCH})
}

// ImageFor is like [Tools.Image], but the config names another platform. The program is still for this machine.
func (t *Tools) ImageFor(marker string, platform v1.Platform) (v1.Image, error) {
	program, err := t.witness()
	if err != nil {
		return nil, err
	}
	mark, err := layer("marker", []byte(marker))
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	image, err = mutate.AppendLayers(image, program, mark)
	if err != nil {
		return nil, fmt.Errorf("making image %q: %w", marker, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("making image %q: %w", marker, err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Config.Entrypoint = []string{"/witness"}
	config.Config.Env = []string{"PATH=/"}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return nil, fmt.Errorf("making image %q: %w", marker, err)
	}
	return image, nil
}

// Wrap returns an image with the same config and layers, but another manifest, which has annotations.
func Wrap(image v1.Image, annotations map[string]string) v1.Image {
	return mutate.Annotations(image, annotations).(v1.Image)
}

// Child is a manifest that an index lists.
type Child struct {
	Manifest mutate.Appendable // A v1.Image or v1.ImageIndex.
	// Platform is the platform in the index; nil: none.
	Platform *v1.Platform
}

// Index makes an index. If it should list a child that the registry lacks, push the index with [Registry.PushManifest].
func Index(children ...Child) v1.ImageIndex {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, child := range children {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: child.Manifest, Descriptor: v1.Descriptor{Platform: child.Platform},
		})
	}
	return index
}

// Linux is a platform.
func Linux(architecture string) *v1.Platform {
	return &v1.Platform{OS: "linux", Architecture: architecture}
}

func witnessLayer(path string) (v1.Layer, error) {
	contents, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("making a layer: %w", err)
	}
	return layer("witness", contents)
}

// layer makes a layer with one file that every user may read and execute.
func layer(name string, contents []byte) (v1.Layer, error) {
	var archive bytes.Buffer
	writer := tar.NewWriter(&archive)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(contents))}
	if err := writer.WriteHeader(header); err != nil {
		return nil, fmt.Errorf("packing %s: %w", name, err)
	}
	if _, err := writer.Write(contents); err != nil {
		return nil, fmt.Errorf("packing %s: %w", name, err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("packing %s: %w", name, err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil }
	result, err := tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", name, err)
	}
	return result, nil
}
