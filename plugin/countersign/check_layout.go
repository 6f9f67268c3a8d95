package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/manifest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/archive"
)

// openLayout reads an image and its signatures in an OCI image layout. The image counts as pulled under the reference
// that it is evaluated under. Signatures in the layout that name no repository belong to the reference's repository.
func openLayout(argument, ref string) (*source, error) {
	named, err := policy.Normalize(ref)
	if err != nil {
		return nil, policy.Refuse(policy.BadRequest, "%v", err)
	}
	path, tag := splitTag(argument)
	opened, err := archive.Open(path)
	if err != nil {
		return nil, policy.Refuse(policy.Unavailable, "%v", err)
	}
	defer opened.Close()
	read := func(of digest.Digest) (policy.Manifest, error) {
		raw, err := opened.Blob(of, archive.MaxManifest)
		if err != nil {
			return policy.Manifest{}, policy.Refuse(policy.Unavailable, "reading the image in %s: %v", path, err)
		}
		return policy.Manifest{Digest: of, MediaType: manifest.GuessMIMEType(raw), Bytes: raw}, nil
	}
	top, err := topOf(opened.Images(), tag)
	if err != nil {
		return nil, policy.Refuse(policy.Unavailable, "%s: %v", path, err)
	}
	first, err := read(top)
	if err != nil {
		return nil, err
	}
	image, err := carriedImage(path, named, first, read)
	if err != nil {
		return nil, err
	}
	kept, end, err := keepLayout(opened, named)
	if err != nil {
		return nil, err
	}
	return carriedSource(image, kept, end), nil
}

// splitTag splits PATH:TAG, unless a file of that name exists.
func splitTag(argument string) (path, tag string) {
	if _, err := os.Stat(argument); err == nil {
		return argument, ""
	}
	path, tag, _ = strings.Cut(argument, ":")
	return path, tag
}

// topOf returns the image with a tag (org.opencontainers.image.ref.name), or the only image of the layout.
func topOf(images []ocispec.Descriptor, tag string) (digest.Digest, error) {
	var found []digest.Digest
	var tags []string
	for _, descriptor := range images {
		name := descriptor.Annotations[ocispec.AnnotationRefName]
		if tag != "" && name != tag {
			continue
		}
		found = append(found, descriptor.Digest)
		tags = append(tags, name)
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case tag != "" && len(found) == 0:
		return "", fmt.Errorf("it has no image with tag %q; omit the tag if the layout has only one image", tag)
	case tag != "":
		return "", fmt.Errorf("it has %d images with tag %q", len(found), tag)
	case len(found) == 0:
		return "", errors.New("it contains no image")
	default:
		return "", fmt.Errorf("it has %d images; give one of the tags %q: --image oci:PATH:TAG", len(found), tags)
	}
}

// keepLayout copies a layout's evidence of one repository into memory until the returned function is called. Nothing is
// fetched.
func keepLayout(opened *archive.Layout, named reference.Named) (policy.LookupFunc, func(), error) {
	store, err := openPassing(nil, nil)
	if err != nil {
		return nil, nil, err
	}
	carried := &carriedEvidence{read: evidence.Read(store.directory), failures: map[digest.Digest]string{}}
	for found := range opened.Evidence(named) {
		if found.Repository != "" && found.Repository != named.Name() {
			continue
		}
		if found.Err == nil && len(found.Files) > 0 {
			_, found.Err = store.Import(found.Item)
		}
		if found.Err != nil {
			carried.failures[found.Manifest] = found.Err.Error()
		}
	}
	return carried.kept, store.end, nil
}

// carriedEvidence is all evidence of an image outside of a registry: what it does not contain does not exist.
type carriedEvidence struct {
	read policy.LookupFunc
	// failures are, by manifest, why something could not be read. The empty digest stands for the whole layout.
	failures map[digest.Digest]string
}

func (c *carriedEvidence) kept(manifests []policy.Manifest, named reference.Named) policy.StoredEvidence {
	kept := c.read(manifests, named)
	for i := range kept {
		kept[i].Predicates = policy.AllPredicates
		if kept[i].State != policy.Unknown {
			continue
		}
		kept[i].State = policy.None
		for _, of := range []digest.Digest{manifests[i].Digest, ""} {
			if why, failed := c.failures[of]; failed {
				kept[i].State, kept[i].Detail = policy.Failed, why
			}
		}
	}
	return kept
}
