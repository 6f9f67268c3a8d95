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

// Image makes an image for linux and this machine's architecture whose file /marker holds the marker. Its entrypoint,
// the program witness, prints that file and sleeps until SIGTERM, so that a container's log tells whose root
// filesystem it runs on; the command line "/witness print PATH…" prints files and ends. Images of one marker are equal.
func (t *Tools) Image(marker string) (v1.Image, error) {
	return t.ImageFor(marker, v1.Platform{OS: "linux", Architecture: runtime.GOARCH})
}

// ImageFor is [Tools.Image] for a platform, by its config: the program in it is still this machine's.
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

// Wrap returns an image of the same config and layers with another manifest: one that carries annotations.
func Wrap(image v1.Image, annotations map[string]string) v1.Image {
	return mutate.Annotations(image, annotations).(v1.Image)
}

// Child is a manifest that an index lists.
type Child struct {
	Manifest mutate.Appendable // A v1.Image or v1.ImageIndex.
	// Platform is what the index says of it; nil: nothing.
	Platform *v1.Platform
}

// Index makes an index. To have one list a child that the registry lacks, push it with [Registry.PushManifest].
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

// layer packs one file that anyone may read and execute.
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
