// Image writes container images to an OCI layout, without a container engine: one image for each platform, with the
// programs of a directory and nothing else, and an index of them.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func main() {
	o := options{}
	flag.StringVar(&o.output, "output", "", "directory of the layout, which must not exist")
	flag.StringVar(&o.name, "name", "", "name of the image, with a tag")
	flag.StringVar(&o.version, "version", "", "version of the programs")
	flag.StringVar(&o.revision, "revision", "", "commit of the programs")
	created := flag.Int64("created", 0, "time of the image in seconds since 1970")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: image [flags] PLATFORM=DIRECTORY…")
		flag.PrintDefaults()
	}
	flag.Parse()
	o.created = time.Unix(*created, 0).UTC()
	digest, err := write(o, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Println(digest)
}

// options describe an image.
type options struct {
	output, name, version, revision string
	created                         time.Time
}

const (
	// programs is where the programs are in the image.
	programs = "/usr/bin"
	// entrypoint is the program that a container runs by default.
	entrypoint = programs + "/countersign"
	// nobody is the user "nonroot" of distroless images. Whoever changes the host says so in the pod.
	nobody = "65532:65532"
)

// write writes the images of platforms, "linux/amd64=DIRECTORY" each, and returns the digest of their index.
func write(o options, platforms []string) (v1.Hash, error) {
	if len(platforms) == 0 {
		return v1.Hash{}, errors.New("there is no PLATFORM=DIRECTORY")
	}
	if _, err := os.Stat(o.output); err == nil {
		return v1.Hash{}, fmt.Errorf("%s exists", o.output)
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, argument := range platforms {
		name, directory, found := strings.Cut(argument, "=")
		if !found {
			return v1.Hash{}, fmt.Errorf("%q is not PLATFORM=DIRECTORY", argument)
		}
		platform, err := v1.ParsePlatform(name)
		if err != nil {
			return v1.Hash{}, err
		}
		image, err := build(o, platform, directory)
		if err != nil {
			return v1.Hash{}, fmt.Errorf("%s: %w", name, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	written, err := layout.Write(o.output, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	if err := written.AppendIndex(index, layout.WithAnnotations(map[string]string{
		// The first one is the specification's, the second one containerd's: "ctr images import" names the image by it.
		"org.opencontainers.image.ref.name": o.version,
		"io.containerd.image.name":          o.name,
	})); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

// build returns the image of one platform.
func build(o options, platform *v1.Platform, directory string) (v1.Image, error) {
	contents, err := archive(directory, o.created)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(contents)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{
		Layer: layer, History: v1.History{Created: v1.Time{Time: o.created}, CreatedBy: "make image"},
	})
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, configure(file.DeepCopy(), platform, o))
}

// configure completes the configuration of an image that has its layers.
func configure(file *v1.ConfigFile, platform *v1.Platform, o options) *v1.ConfigFile {
	file.Created = v1.Time{Time: o.created}
	file.OS, file.Architecture, file.Variant = platform.OS, platform.Architecture, platform.Variant
	file.Config = v1.Config{
		User: nobody, Entrypoint: []string{entrypoint}, Env: []string{"PATH=" + programs},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "countersign",
			"org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.source":   "https://github.com/countersign/countersign",
			"org.opencontainers.image.version":  o.version,
			"org.opencontainers.image.revision": o.revision,
		},
	}
	return file
}

// archive returns a layer with the files of a directory. The same files give the same bytes.
func archive(directory string, modified time.Time) ([]byte, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, err
	}
	var contents bytes.Buffer
	w := tar.NewWriter(&contents)
	header := tar.Header{ModTime: modified, Format: tar.FormatPAX, Mode: 0o755}
	for _, name := range []string{"usr/", strings.TrimPrefix(programs, "/") + "/"} {
		header.Name, header.Typeflag = name, tar.TypeDir
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
	}
	for _, entry := range entries {
		program, err := os.ReadFile(filepath.Join(directory, entry.Name()))
		if err != nil {
			return nil, err
		}
		header.Name, header.Typeflag = path.Join(strings.TrimPrefix(programs, "/"), entry.Name()), tar.TypeReg
		header.Size = int64(len(program))
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
		if _, err := w.Write(program); err != nil {
			return nil, err
		}
	}
	return contents.Bytes(), w.Close()
}
