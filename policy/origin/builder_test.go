package origin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy"
)

// overwrite changes the first byte of a file.
func overwrite(path string) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	raw[0] ^= 1
	return os.WriteFile(path, raw, 0o600)
}

// blob stores bytes.
func (s *stores) blob(mediaType string, raw []byte) ocispec.Descriptor {
	s.tb.Helper()
	descriptor := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	must(s.tb, content.WriteBlob(s.ctx, s.content, descriptor.Digest.String(), bytes.NewReader(raw), descriptor))
	return descriptor
}

func (s *stores) document(mediaType string, document any) ocispec.Descriptor {
	s.tb.Helper()
	raw, err := json.Marshal(document)
	must(s.tb, err)
	return s.blob(mediaType, raw)
}

func diffIDs(layers ...string) []digest.Digest {
	ids := make([]digest.Digest, len(layers))
	for i, layer := range layers {
		ids[i] = digest.FromString(layer)
	}
	return ids
}

// chainOf is the key of the snapshot of these layers.
func chainOf(layers ...string) string { return identity.ChainID(diffIDs(layers...)).String() }

// config stores the config of an image with these layers, distinguished by its author.
func (s *stores) config(author string, layers ...string) ocispec.Descriptor {
	s.tb.Helper()
	image := ocispec.Image{Author: author, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: diffIDs(layers...)}}
	return s.document(ocispec.MediaTypeImageConfig, image)
}

// labelled is like config, for an image with labels.
func (s *stores) labelled(author string, labels map[string]string, layers ...string) ocispec.Descriptor {
	s.tb.Helper()
	image := ocispec.Image{Author: author, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: diffIDs(layers...)}}
	image.Config.Labels = labels
	return s.document(ocispec.MediaTypeImageConfig, image)
}

// manifest stores a manifest of a config, distinguished by an annotation.
func (s *stores) manifest(config ocispec.Descriptor, note string) ocispec.Descriptor {
	s.tb.Helper()
	return s.document(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{}, Annotations: map[string]string{"note": note},
	})
}

// image stores a config of one layer and a manifest.
func (s *stores) image(name string) (manifest, config ocispec.Descriptor) {
	s.tb.Helper()
	config = s.config(name, "layer of "+name)
	return s.manifest(config, ""), config
}

func (s *stores) index(children ...ocispec.Descriptor) ocispec.Descriptor {
	s.tb.Helper()
	return s.document(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	})
}

// absent describes a manifest that is not here.
func absent(name string) ocispec.Descriptor {
	return ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(name), Size: 1000,
		Platform: &ocispec.Platform{OS: "linux", Architecture: "s390x"},
	}
}

func absentMany(count int, prefix string) []ocispec.Descriptor {
	many := make([]ocispec.Descriptor, count)
	for i := range many {
		many[i] = ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(prefix, i)), Size: 1,
		}
	}
	return many
}

// found is an answer, to be compared and read.
type found struct {
	// Manifests are lines "kind digest repositories".
	Manifests []string
	PulledAs  []string
	Confirmed bool
}

func describe(tb testing.TB, image *policy.Image) found {
	tb.Helper()
	var f found
	for _, m := range image.Manifests {
		raw, err := m.Read(tb.Context(), m.Digest)
		must(tb, err)
		if m.Bytes != nil || m.Digest.Algorithm().FromBytes(raw) != m.Digest || len(raw) != m.Size {
			tb.Errorf("%s comes with bytes, or those that are read do not hash to it", m.Digest)
		}
		f.Manifests = append(f.Manifests, line(m.MediaType, m.Digest, m.Repositories...))
	}
	for _, original := range image.PulledAs {
		f.PulledAs = append(f.PulledAs, original.String())
	}
	f.Confirmed = image.Confirmed
	return f
}

func line(mediaType string, d digest.Digest, repositories ...string) string {
	return fmt.Sprintf("%s %s %v", mediaType, d, repositories)
}

// of makes the line of a descriptor.
func of(d ocispec.Descriptor, repositories ...string) string {
	return line(d.MediaType, d.Digest, repositories...)
}

// sorted returns lines in the order of answers: manifests first and then indexes, each by digest.
func sorted(lines ...string) []string {
	return slices.SortedFunc(slices.Values(lines), func(a, b string) int {
		return strings.Compare(rank(a)+a, rank(b)+b)
	})
}

func rank(line string) string {
	if strings.HasPrefix(line, ocispec.MediaTypeImageIndex) {
		return "1"
	}
	return "0"
}

func question(config ocispec.Descriptor) policy.Question {
	return policy.Question{Namespace: "prod", Reference: "example.com/app:v1", Config: config.Digest}
}

// refusal checks that an error is a refusal with a reason and words.
func refusal(tb testing.TB, err error, reason policy.Reason, words ...string) {
	tb.Helper()
	refused, ok := err.(*policy.Refusal) //nolint:errorlint // what is returned is looked at by type switch
	if !ok {
		tb.Fatalf("want a refusal as %s, got %v", reason, err)
	}
	if refused.Reason != reason {
		tb.Errorf("refused as %s, want %s: %s", refused.Reason, reason, refused.Detail)
	}
	for _, word := range words {
		if !strings.Contains(refused.Detail, word) {
			tb.Errorf("the refusal does not say %q: %s", word, refused.Detail)
		}
	}
	if strings.Contains(refused.Detail, "\n") {
		tb.Errorf("the refusal has more than one line: %s", refused.Detail)
	}
}

func same(tb testing.TB, got, want any) {
	tb.Helper()
	if difference := cmp.Diff(want, got); difference != "" {
		tb.Errorf("not as wanted (-want +got):\n%s", difference)
	}
}
