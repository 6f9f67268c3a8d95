package main

import (
	"archive/tar"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func must[T any](value T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// platforms writes programs of two platforms, each with its own contents.
func platforms(t *testing.T) []string {
	t.Helper()
	var arguments []string
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		directory := t.TempDir()
		for _, name := range []string{"countersign", "countersign-agent"} {
			if err := os.WriteFile(filepath.Join(directory, name), []byte(name+" for "+platform), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		arguments = append(arguments, platform+"="+directory)
	}
	return arguments
}

var described = options{
	name: "registry.example/countersign:1.2.3", version: "1.2.3", revision: "abc",
	created: time.Unix(1_700_000_000, 0).UTC(),
}

func TestTheLayoutHasAnImageForEachPlatform(t *testing.T) {
	o := described
	o.output = filepath.Join(t.TempDir(), "image")
	arguments := platforms(t)
	digest := must(write(o, arguments))(t)
	index := read(t, o.output)
	if got := must(index.Digest())(t); got != digest {
		t.Errorf("the index is %s, and %s was returned", got, digest)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	for i, descriptor := range must(index.IndexManifest())(t).Manifests {
		platform := must(v1.ParsePlatform(strings.Split(arguments[i], "=")[0]))(t)
		if !descriptor.Platform.Equals(*platform) {
			t.Errorf("image %d is for %s, want %s", i, descriptor.Platform, platform)
		}
		image := must(index.Image(descriptor.Digest))(t)
		want := map[string]string{
			"usr": "", "usr/bin": "", "usr/bin/countersign": "countersign for " + platform.String(),
			"usr/bin/countersign-agent": "countersign-agent for " + platform.String(),
		}
		if diff := cmp.Diff(want, files(t, image)); diff != "" {
			t.Errorf("files of %s (-want +got):\n%s", platform, diff)
		}
		file := must(image.ConfigFile())(t)
		if file.Architecture != platform.Architecture || file.Config.User != nobody || len(file.Config.Entrypoint) != 1 {
			t.Errorf("the configuration for %s is %+v", platform, file)
		}
	}
}

func TestTheSameProgramsGiveTheSameImage(t *testing.T) {
	arguments := platforms(t)
	first, second := described, described
	first.output, second.output = filepath.Join(t.TempDir(), "1"), filepath.Join(t.TempDir(), "2")
	if x, y := must(write(first, arguments))(t), must(write(second, arguments))(t); x != y {
		t.Errorf("the images are %s and %s", x, y)
	}
}

func TestWhatCannotBeWrittenIsRefused(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "none")
	existing := described
	existing.output = t.TempDir()
	absent := described
	absent.output = filepath.Join(t.TempDir(), "image")
	for name, c := range map[string]struct {
		options   options
		platforms []string
		want      string
	}{
		"a directory that exists":       {existing, platforms(t), "exists"},
		"no platform":                   {absent, nil, "no PLATFORM=DIRECTORY"},
		"a platform without directory":  {absent, []string{"linux/amd64"}, "is not PLATFORM=DIRECTORY"},
		"a platform that is none":       {absent, []string{"a/b/c/d=" + t.TempDir()}, "platform"},
		"a directory that is not there": {absent, []string{"linux/amd64=" + nowhere}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := write(c.options, c.platforms); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("write returned %v, want an error about %q", err, c.want)
			}
		})
	}
}

// TestMakeImageWritesProgramsThatRun takes the programs of this machine's architecture out of the image.
func TestMakeImageWritesProgramsThatRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the programs")
	}
	architecture := strings.TrimSpace(string(must(exec.CommandContext(t.Context(), "go", "env", "GOARCH").Output())(t)))
	output := filepath.Join(t.TempDir(), "image")
	command := exec.CommandContext(t.Context(), "../image.sh")
	command.Env = append(os.Environ(), "IMAGE="+output, "ARCHITECTURES="+architecture, "VERSION=1.2.3", "BUILD_FLAGS=")
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("image.sh: %v\n%s", err, text)
	}
	index := read(t, output)
	image := must(index.Image(must(index.IndexManifest())(t).Manifests[0].Digest))(t)
	found := files(t, image)
	for _, name := range []string{"countersign", "countersign-agent", "countersign-verifier"} {
		program := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(program, []byte(found["usr/bin/"+name]), 0o700); err != nil { //nolint:gosec // It is run.
			t.Fatal(err)
		}
		if name != "countersign" {
			continue // containerd starts the verifier, with an image.
		}
		text, err := exec.CommandContext(t.Context(), program, "version").Output()
		if err != nil || len(text) == 0 {
			t.Errorf("countersign version: %v, %q", err, text)
		}
	}
}

// read returns the index of a layout.
func read(t *testing.T, directory string) v1.ImageIndex {
	t.Helper()
	root := must(must(layout.ImageIndexFromPath(directory))(t).IndexManifest())(t)
	if len(root.Manifests) != 1 || root.Manifests[0].Annotations["io.containerd.image.name"] == "" {
		t.Fatalf("the layout has %+v, want one index with a name", root.Manifests)
	}
	return must(must(layout.ImageIndexFromPath(directory))(t).ImageIndex(root.Manifests[0].Digest))(t)
}

// files returns the files of an image.
func files(t *testing.T, image v1.Image) map[string]string {
	t.Helper()
	contents := mutate.Extract(image)
	defer contents.Close()
	found := map[string]string{}
	for r := tar.NewReader(contents); ; {
		header, err := r.Next()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = string(must(io.ReadAll(r))(t))
	}
}
