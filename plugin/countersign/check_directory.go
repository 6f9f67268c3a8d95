package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"go.podman.io/image/v5/manifest"

	"github.com/countersign/countersign/policy"
)

// maxManifest limits the size of a manifest, as in the daemon.
const maxManifest = 4 << 20

// openDirectory reads an image in the layout of containers/image's dir: transport. The image counts as pulled under the
// reference that it is evaluated under.
func openDirectory(path, ref string) (*source, error) {
	named, err := policy.Normalize(ref)
	if err != nil {
		return nil, policy.Refuse(policy.BadRequest, "%v", err)
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", path, err)
	}
	if _, err := os.Stat(filepath.Join(path, "oci-layout")); err == nil {
		return nil, policy.Refuse(policy.Unavailable, "%s is an OCI image layout: use oci:%s", path, path)
	}
	top, err := readManifest(filepath.Join(path, "manifest.json"))
	if err != nil {
		return nil, err
	}
	image, err := carriedImage(path, named, top, func(instance digest.Digest) (policy.Manifest, error) {
		return readManifest(filepath.Join(path, instance.Encoded()+".manifest.json"))
	})
	if err != nil {
		return nil, err
	}
	directory := directoryImage{path: path, manifests: image.Manifests}
	return carriedSource(image, directory.kept, func() {}), nil
}

// carriedSource returns the source for an image outside of a registry and of containerd.
func carriedSource(image *policy.Image, kept policy.LookupFunc, end func()) *source {
	return &source{
		config: image.Config,
		image:  func(context.Context, policy.Question) (*policy.Image, error) { return image, nil },
		kept:   kept,
		close:  end,
	}
}

// carriedImage returns an image from its files: one manifest or, if the files have an index, the manifest for this
// machine's platform first and then the index. The reference is its only original reference.
func carriedImage(
	where string, named reference.Named, top policy.Manifest, read func(digest.Digest) (policy.Manifest, error),
) (*policy.Image, error) {
	manifests := []policy.Manifest{top}
	if manifest.MIMETypeIsMultiImage(top.MediaType) {
		index, err := manifest.ListFromBlob(top.Bytes, top.MediaType)
		if err != nil {
			return nil, policy.Refuse(policy.Unavailable, "reading the index in %s: %v", where, err)
		}
		chosen, err := index.ChooseInstance(nil)
		if err != nil {
			return nil, policy.Refuse(policy.Unavailable, "choosing from the index in %s: %v", where, err)
		}
		instance, err := read(chosen)
		if err != nil {
			return nil, err
		}
		if instance.Digest != chosen {
			return nil, policy.Refuse(policy.Unavailable, "the manifest of %s in %s has digest %s",
				chosen, where, instance.Digest)
		}
		manifests = []policy.Manifest{instance, top}
	}
	for i := range manifests {
		manifests[i].Repositories = []string{named.Name()}
	}
	parsed, err := manifest.FromBlob(manifests[0].Bytes, manifests[0].MediaType)
	if err != nil {
		return nil, policy.Refuse(policy.Unavailable, "reading the manifest in %s: %v", where, err)
	}
	// Docker's schema 1 has no config. The digest of the manifest identifies the image instead.
	config := manifests[0].Digest
	if named := parsed.ConfigInfo().Digest; named.Validate() == nil {
		config = named
	}
	return &policy.Image{
		Config: config, Manifests: manifests, PulledAs: []reference.Named{named}, Confirmed: true,
	}, nil
}

// directoryImage reads an image's manifests, and the signatures next to them.
type directoryImage struct {
	path      string
	manifests []policy.Manifest
}

func readManifest(path string) (policy.Manifest, error) {
	file, err := os.Open(path)
	if err != nil {
		return policy.Manifest{}, policy.Refuse(policy.Unavailable, "reading the image: %v", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxManifest+1))
	if err != nil {
		return policy.Manifest{}, policy.Refuse(policy.Unavailable, "reading the image: %v", err)
	}
	if len(raw) > maxManifest {
		return policy.Manifest{}, policy.Refuse(policy.Unavailable, "%s is larger than 4 MiB", path)
	}
	return policy.Manifest{
		Digest: digest.FromBytes(raw), MediaType: manifest.GuessMIMEType(raw), Bytes: raw,
	}, nil
}

// kept returns the signatures next to the manifests. The files of the top-level manifest are named signature-N, those
// of another one <hex>.signature-N.
func (d *directoryImage) kept(manifests []policy.Manifest, _ reference.Named) policy.StoredEvidence {
	kept := make(policy.StoredEvidence, 0, len(manifests))
	for i, m := range manifests {
		evidence := policy.Evidence{Manifest: m.Digest, Generation: uint64(i) + 1, Directory: d.path}
		evidence.Predicates = policy.AllPredicates
		prefix := "signature-"
		if len(d.manifests) > 1 && m.Digest == d.manifests[0].Digest {
			evidence.Instance = m.Digest
			prefix = m.Digest.Encoded() + ".signature-"
		}
		count, err := countSignatures(filepath.Join(d.path, prefix))
		switch {
		case err != nil:
			evidence.State, evidence.Detail = policy.Failed, err.Error()
		case count == 0:
			evidence.State = policy.None
		default:
			evidence.State, evidence.Signatures = policy.Found, count
		}
		kept = append(kept, evidence)
	}
	return kept
}

// countSignatures counts as the dir: transport does: from 1, up to the first file that does not exist.
func countSignatures(prefix string) (int, error) {
	for count := 0; ; count++ {
		_, err := os.Stat(fmt.Sprintf("%s%d", prefix, count+1))
		if errors.Is(err, fs.ErrNotExist) {
			return count, nil
		}
		if err != nil {
			return 0, fmt.Errorf("finding signatures: %w", err)
		}
	}
}
