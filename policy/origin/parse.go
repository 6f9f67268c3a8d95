package origin

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/internal/strictjson"
)

// maxDescriptors limits the descriptors of an index, and of an image with all its indexes.
const maxDescriptors = 10_000

// document is the part of a manifest or an index that this package needs.
type document struct {
	mediaType string
	// config is that of a manifest; an index has none.
	config digest.Digest
	// children are the manifests and indexes that an index lists, and listed is the number of its descriptors.
	children []digest.Digest
	listed   int
}

// parseDocument reads a manifest or an index. A document that could be read as both, or that has a relevant key twice,
// is refused: another reader of the same bytes might see another image. containerd refuses the first kind too
// (core/images: validateMediaType). It calls pause between any two descriptors.
func parseDocument(raw []byte, pause func()) (document, error) {
	var (
		found     struct{ mediaType, config, layers, manifests bool }
		mediaType string
		config    struct {
			Digest digest.Digest `json:"digest"`
		}
		manifests descriptors
	)
	// Irrelevant members may occur twice.
	walker := strictjson.NewWalker(raw, asContainerd())
	err := walker.Object(func(key string) error {
		var into any
		var err error
		switch {
		case strings.EqualFold(key, "mediaType"):
			into, err = &mediaType, once(&found.mediaType, key, "mediaType")
		case strings.EqualFold(key, "config"):
			into, err = &config, once(&found.config, key, "config")
		case strings.EqualFold(key, "layers"):
			err = once(&found.layers, key, "layers")
		case strings.EqualFold(key, "manifests"):
			err = once(&found.manifests, key, "manifests")
		}
		switch {
		case err != nil:
			return err
		case key == "manifests":
			err = manifests.read(walker, pause)
		case into == nil:
			return walker.Skip()
		default:
			err = walker.Decode(into)
		}
		if err != nil {
			return fmt.Errorf("its %q: %w", key, err)
		}
		return nil
	})
	if err == nil {
		err = walker.End("document")
	}
	switch {
	case err != nil:
		return document{}, err
	case found.manifests && (found.config || found.layers):
		return document{}, errors.New("it could be read as a manifest and as an index")
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

// knownMediaType returns the OCI type for a document without a media type: only OCI makes it optional.
func knownMediaType(written, oci, docker string) string {
	if written == docker {
		return docker
	}
	return oci
}

// once refuses a repeated key, also one that differs in case only: encoding/json reads these as the same key, other
// parsers do not.
func once(seen *bool, key, exact string) error {
	if *seen || key != exact {
		return fmt.Errorf("it has %q in more than one spelling or place", exact)
	}
	*seen = true
	return nil
}

// descriptors stores the digests of the manifests and indexes in a list of descriptors. It fails for a list that is too
// long, before it uses more memory than the bytes of the list.
type descriptors struct {
	children []digest.Digest
	listed   int
}

// read reads the list, of which null is an empty one.
func (d *descriptors) read(walker *strictjson.Walker, pause func()) error {
	if walker.Null() {
		return nil
	}
	return walker.Array(func() error {
		pause()
		var descriptor struct {
			MediaType string        `json:"mediaType"`
			Digest    digest.Digest `json:"digest"`
		}
		if d.listed++; d.listed > maxDescriptors {
			return fmt.Errorf("there are more than %d descriptors", maxDescriptors)
		}
		if err := walker.Decode(&descriptor); err != nil {
			return err
		}
		// containerd reads no others (core/images: ChildrenHandler).
		follow := images.IsManifestType(descriptor.MediaType) || images.IsIndexType(descriptor.MediaType)
		if follow && descriptor.Digest.Validate() == nil {
			d.children = append(d.children, descriptor.Digest)
		}
		return nil
	})
}

// eachElement calls element to read each element of an array, of which null is an empty one.
func eachElement(raw []byte, element func(*strictjson.Walker) error) error {
	if bytes.Equal(raw, []byte("null")) {
		return nil
	}
	walker := strictjson.NewWalker(raw, asContainerd())
	return walker.Array(func() error { return element(walker) })
}

// asContainerd accepts what containerd does, which reads JSON with encoding/json.
func asContainerd() strictjson.Leniency {
	return strictjson.Leniency{InvalidUTF8: true, Duplicates: true}
}

// parseConfig returns the chain ID of an image's layers, which is "" for an image without layers. It reads as
// containerd does (core/images: RootFS), because containerd named the snapshot from the same bytes.
func parseConfig(raw []byte) (string, error) {
	var config struct {
		RootFS struct {
			DiffIDs diffIDs `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := strictjson.Unmarshal(raw, &config); err != nil {
		return "", err
	}
	return identity.ChainID(config.RootFS.DiffIDs).String(), nil
}

// maxLayers is far above the layers of any root filesystem (overlayfs supports 500), and low enough for the memory that
// a chain ID needs.
const maxLayers = 10_000

type diffIDs []digest.Digest

func (d *diffIDs) UnmarshalJSON(raw []byte) error {
	*d = nil
	err := eachElement(raw, func(walker *strictjson.Walker) error {
		if len(*d) == maxLayers {
			return fmt.Errorf("there are more than %d layers", maxLayers)
		}
		var id digest.Digest
		err := walker.Decode(&id)
		*d = append(*d, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("%q: %w", "rootfs.diff_ids", err)
	}
	return nil
}
