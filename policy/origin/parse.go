package origin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxDescriptors is how many descriptors an index may list, and one image with all its indexes.
const maxDescriptors = 10_000

// document is what matters of a manifest or an index.
type document struct {
	mediaType string
	// config is a manifest's; an index has none.
	config digest.Digest
	// children are the manifests and indexes that an index lists, and listed is the number of its descriptors.
	children []digest.Digest
	listed   int
}

// parseDocument reads a manifest or an index. A document that could be taken for both, or that has one of the keys
// that matter twice, is refused: other readers of the same bytes might see another image. containerd refuses the
// first kind too (core/images: validateMediaType).
func parseDocument(raw []byte) (document, error) {
	var (
		found     struct{ mediaType, config, layers, manifests bool }
		mediaType string
		config    struct {
			Digest digest.Digest `json:"digest"`
		}
		manifests descriptors
	)
	err := eachMember(raw, func(key string) (any, error) {
		switch {
		case strings.EqualFold(key, "mediaType"):
			return &mediaType, once(&found.mediaType, key, "mediaType")
		case strings.EqualFold(key, "config"):
			return &config, once(&found.config, key, "config")
		case strings.EqualFold(key, "layers"):
			return &ignored{}, once(&found.layers, key, "layers")
		case strings.EqualFold(key, "manifests"):
			return &manifests, once(&found.manifests, key, "manifests")
		default:
			return &ignored{}, nil
		}
	})
	switch {
	case err != nil:
		return document{}, err
	case found.manifests && (found.config || found.layers):
		return document{}, errors.New("it could be taken for a manifest and for an index")
	case found.manifests:
		mediaType = knownMediaType(mediaType, ocispec.MediaTypeImageIndex, images.MediaTypeDockerSchema2ManifestList)
		return document{mediaType: mediaType, children: manifests.children, listed: manifests.listed}, nil
	case found.config:
		mediaType = knownMediaType(mediaType, ocispec.MediaTypeImageManifest, images.MediaTypeDockerSchema2Manifest)
		if err := config.Digest.Validate(); err != nil {
			return document{}, fmt.Errorf("its config digest: %w", err)
		}
		return document{mediaType: mediaType, config: config.Digest}, nil
	default:
		return document{}, errors.New("it is neither a manifest nor an index")
	}
}

// knownMediaType returns the OCI type for a document that does not say: only OCI lets it be left out.
func knownMediaType(written, oci, docker string) string {
	if written == docker {
		return docker
	}
	return oci
}

// once refuses a key seen before, and one that is spelled like it but for case: encoding/json takes these for the
// same, other parsers do not.
func once(seen *bool, key, exact string) error {
	if *seen || key != exact {
		return fmt.Errorf("it has %q in more than one spelling or place", exact)
	}
	*seen = true
	return nil
}

// eachMember calls into for each member of a JSON object, and decodes the value into what it returns.
func eachMember(raw []byte, into func(key string) (any, error)) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if err := expect(decoder, json.Delim('{')); err != nil {
		return err
	}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		target, err := into(key)
		if err != nil {
			return err
		}
		if err := decoder.Decode(target); err != nil {
			return fmt.Errorf("its %q: %w", key, err)
		}
	}
	if err := expect(decoder, json.Delim('}')); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after its end")
	}
	return nil
}

func expect(decoder *json.Decoder, want json.Delim) error {
	token, err := decoder.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("%v stands where %v is expected", token, want)
	}
	return nil
}

// ignored takes any value and keeps nothing of it.
type ignored struct{}

func (*ignored) UnmarshalJSON([]byte) error { return nil }

// descriptors keeps the digests of the manifests and indexes in a list of descriptors, and gives up on a list that is
// too long before it has cost more memory than its bytes.
type descriptors struct {
	children []digest.Digest
	listed   int
}

func (d *descriptors) UnmarshalJSON(raw []byte) error {
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if err := expect(decoder, json.Delim('[')); err != nil {
		return err
	}
	for decoder.More() {
		var descriptor struct {
			MediaType string        `json:"mediaType"`
			Digest    digest.Digest `json:"digest"`
		}
		if d.listed++; d.listed > maxDescriptors {
			return fmt.Errorf("there are more than %d descriptors", maxDescriptors)
		}
		if err := decoder.Decode(&descriptor); err != nil {
			return err
		}
		// containerd follows no others (core/images: ChildrenHandler).
		follow := images.IsManifestType(descriptor.MediaType) || images.IsIndexType(descriptor.MediaType)
		if follow && descriptor.Digest.Validate() == nil {
			d.children = append(d.children, descriptor.Digest)
		}
	}
	return nil
}

// parseConfig returns the chain ID of an image's layers, which is "" for an image without layers. It reads as
// containerd does (core/images: RootFS), for containerd named the snapshot from the same bytes.
func parseConfig(raw []byte) (string, error) {
	var config struct {
		RootFS struct {
			DiffIDs diffIDs `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(raw, &config); err != nil {
		return "", err
	}
	return identity.ChainID(config.RootFS.DiffIDs).String(), nil
}

// maxLayers is far above what any root filesystem is made of (overlayfs takes 500), and far below what would make a
// chain ID cost memory.
const maxLayers = 10_000

type diffIDs []digest.Digest

func (d *diffIDs) UnmarshalJSON(raw []byte) error {
	*d = nil
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if err := expect(decoder, json.Delim('[')); err != nil {
		return err
	}
	for decoder.More() {
		if len(*d) == maxLayers {
			return fmt.Errorf("there are more than %d layers", maxLayers)
		}
		var id digest.Digest
		if err := decoder.Decode(&id); err != nil {
			return err
		}
		*d = append(*d, id)
	}
	return nil
}
