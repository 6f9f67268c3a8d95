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

// openLayout reads an image and its signatures in an OCI image layout. The reference it is judged under is its own
// origin, and the repository of all signatures in it that do not name another.
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

// splitTag splits PATH:TAG, where that is not the path of something.
func splitTag(argument string) (path, tag string) {
	if _, err := os.Stat(argument); err == nil {
		return argument, ""
	}
	path, tag, _ = strings.Cut(argument, ":")
	return path, tag
}

// topOf returns the image that a tag means (org.opencontainers.image.ref.name), or the only one there is.
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
		return "", fmt.Errorf("it has no image called %q; leave the tag away where there is but one image", tag)
	case tag != "":
		return "", fmt.Errorf("it has %d images called %q", len(found), tag)
	case len(found) == 0:
		return "", errors.New("there is no image in it")
	default:
		return "", fmt.Errorf("it has %d images; give one of the tags %q: --image oci:PATH:TAG", len(found), tags)
	}
}

// keepLayout keeps what a layout has of a repository's evidence until it is ended. It is an answer of which nothing is
// fetched.
func keepLayout(opened *archive.Layout, named reference.Named) (policy.LookupFunc, func(), error) {
	store, err := openPassing(nil)
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

// carriedEvidence is all there is: what is not in it is not there.
type carriedEvidence struct {
	read policy.LookupFunc
	// failures say of which manifests something could not be read, and why; of no manifest is of any.
	failures map[digest.Digest]string
}

func (c *carriedEvidence) kept(manifests []policy.Manifest, named reference.Named) policy.StoredEvidence {
	kept := c.read(manifests, named)
	for i := range kept {
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
