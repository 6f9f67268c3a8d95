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

// maxManifest bounds what is read as a manifest, as the daemon bounds it.
const maxManifest = 4 << 20

// openDirectory reads an image in the layout of containers/image's dir: transport. The reference it is judged under
// is its own origin.
func openDirectory(path, ref string) (*source, error) {
	named, err := policy.Normalize(ref)
	if err != nil {
		return nil, policy.Refuse(policy.BadRequest, "%v", err)
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", path, err)
	}
	top, err := readManifest(filepath.Join(path, "manifest.json"))
	if err != nil {
		return nil, err
	}
	directory := directoryImage{path: path, named: named, manifests: []policy.Manifest{top}}
	config, err := directory.resolve(top)
	if err != nil {
		return nil, err
	}
	image := &policy.Image{
		Config: config, Manifests: directory.manifests, Originals: []reference.Named{named}, Confirmed: true,
	}
	return &source{
		config: config,
		image:  func(context.Context, policy.Question) (*policy.Image, error) { return image, nil },
		kept:   directory.kept,
		close:  func() {},
	}, nil
}

// directoryImage is an image in a directory: one manifest, or the manifest of this machine's platform before the
// index that lists it.
type directoryImage struct {
	path      string
	named     reference.Named
	manifests []policy.Manifest
}

// resolve returns the config digest of what would run, having followed an index to the manifest of this machine's
// platform. A reference by digest, which nothing else here checks, must be one of the two.
func (d *directoryImage) resolve(top policy.Manifest) (digest.Digest, error) {
	instance := top
	if manifest.MIMETypeIsMultiImage(top.MediaType) {
		index, err := manifest.ListFromBlob(top.Bytes, top.MediaType)
		if err != nil {
			return "", policy.Refuse(policy.Unavailable, "reading the index in %s: %v", d.path, err)
		}
		chosen, err := index.ChooseInstance(nil)
		if err != nil {
			return "", policy.Refuse(policy.Unavailable, "choosing from the index in %s: %v", d.path, err)
		}
		instance, err = readManifest(filepath.Join(d.path, chosen.Encoded()+".manifest.json"))
		if err != nil {
			return "", err
		}
		if instance.Digest != chosen {
			return "", policy.Refuse(policy.Unavailable, "the manifest of %s in %s has digest %s",
				chosen, d.path, instance.Digest)
		}
		d.manifests = []policy.Manifest{instance, top}
	}
	for i := range d.manifests {
		d.manifests[i].Repositories = []string{d.named.Name()}
	}
	parsed, err := manifest.FromBlob(instance.Bytes, instance.MediaType)
	if err != nil {
		return "", policy.Refuse(policy.Unavailable, "reading the manifest in %s: %v", d.path, err)
	}
	if config := parsed.ConfigInfo().Digest; config.Validate() == nil {
		return config, nil
	}
	// Docker's schema 1 has no configuration. It serves as the name of what is judged, no more.
	return instance.Digest, nil
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

// kept returns the signatures beside the manifests. Those of the top-level manifest are called signature-N, those of
// another <hex>.signature-N.
func (d *directoryImage) kept(manifests []policy.Manifest, _ reference.Named) policy.Kept {
	kept := make(policy.Kept, 0, len(manifests))
	for i, m := range manifests {
		evidence := policy.Evidence{Manifest: m.Digest, Generation: uint64(i) + 1, Directory: d.path}
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

// countSignatures counts as the dir: transport reads: from 1 on, up to the first that is missing.
func countSignatures(prefix string) (int, error) {
	for count := 0; ; count++ {
		_, err := os.Stat(fmt.Sprintf("%s%d", prefix, count+1))
		if errors.Is(err, fs.ErrNotExist) {
			return count, nil
		}
		if err != nil {
			return 0, fmt.Errorf("looking for signatures: %w", err)
		}
	}
}
