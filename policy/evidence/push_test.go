package evidence_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// pushed is a document as a registry has it.
type pushed struct {
	mediaType string
	raw       []byte
}

// RawManifest returns the document, and MediaType its type, for the client that pushes it.
func (p pushed) RawManifest() ([]byte, error)        { return p.raw, nil }
func (p pushed) MediaType() (types.MediaType, error) { return types.MediaType(p.mediaType), nil }

// push puts a document into the repository app under a tag, or under its digest where the tag is empty.
func (p pusher) push(tag, mediaType string, document any) ocispec.Descriptor {
	p.t.Helper()
	raw, err := json.Marshal(document)
	if err != nil {
		p.t.Fatal(err)
	}
	of := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	at := "@" + of.Digest.String()
	if tag != "" {
		at = ":" + tag
	}
	ref, err := name.ParseReference(p.host+"/app"+at, name.Insecure)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := remote.Put(ref, pushed{mediaType: mediaType, raw: raw}); err != nil {
		p.t.Fatal(err)
	}
	return of
}

// pushBlob puts a blob into the repository app.
func (r *testRegistry) pushBlob(t testing.TB, mediaType string, blob []byte) ocispec.Descriptor {
	t.Helper()
	to, err := name.NewRepository(r.host+"/app", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteLayer(to, static.NewLayer(blob, types.MediaType(mediaType))); err != nil {
		t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(blob), Size: int64(len(blob))}
}

// pusher pushes to a registry for a test.
type pusher struct {
	api bool
	*testRegistry
	t testing.TB
}

// image is what tests push: manifests, each with the configuration of a platform, and a note that makes it differ.
func (p pusher) image(platform *ocispec.Platform, note string) ocispec.Descriptor {
	p.t.Helper()
	config := ocispec.Image{Author: "test"}
	if platform != nil {
		config.Platform = *platform
	}
	raw, err := json.Marshal(config)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.push("", ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      p.pushBlob(p.t, ocispec.MediaTypeImageConfig, raw),
		Layers:      []ocispec.Descriptor{},
		Annotations: map[string]string{"note": note},
	})
}

func (p pusher) index(children ...ocispec.Descriptor) ocispec.Descriptor {
	p.t.Helper()
	return p.push("v1", ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	})
}

// unchecked makes the registry serve an index that it would not accept, and returns its digest.
func (p pusher) unchecked(children ...ocispec.Descriptor) digest.Digest {
	p.t.Helper()
	raw, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.spoilBy(onlyFor(digest.FromBytes(raw).String(), func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		http.ServeContent(w, request, "", time.Time{}, bytes.NewReader(raw))
	}))
	return digest.FromBytes(raw)
}

// on sets the platform of a descriptor. nil: the descriptor has none.
func on(of ocispec.Descriptor, platform *ocispec.Platform) ocispec.Descriptor {
	of.Platform = platform
	return of
}
