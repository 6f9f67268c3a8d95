package format

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Item is the evidence of one manifest, or index, in one repository, as it is carried from one node to another.
type Item struct {
	Manifest digest.Digest
	// Repository is a normalised name without tag or digest, such as docker.io/library/busybox.
	Repository string
	Files      []File
}

// itemJSON is an item in JSON.
type itemJSON struct {
	Manifest   digest.Digest `json:"manifest"`
	Repository string        `json:"repository"`
	Signatures [][]byte      `json:"signatures,omitempty"`
	Bundles    [][]byte      `json:"bundles,omitempty"`
	// Attestations are a later addition: an older daemon ignores them.
	Attestations [][]byte `json:"attestations,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (i Item) MarshalJSON() ([]byte, error) {
	return json.Marshal(itemJSON{
		Manifest: i.Manifest, Repository: i.Repository,
		Signatures: Contents(i.Files, KindSignature), Bundles: Contents(i.Files, KindBundle),
		Attestations: Contents(i.Files, KindAttestation),
	})
}

// UnmarshalJSON implements [json.Unmarshaler].
func (i *Item) UnmarshalJSON(raw []byte) error {
	var read itemJSON
	if err := json.Unmarshal(raw, &read); err != nil {
		return err
	}
	*i = Item{Manifest: read.Manifest, Repository: read.Repository}
	i.Add(KindSignature, read.Signatures...)
	i.Add(KindBundle, read.Bundles...)
	i.Add(KindAttestation, read.Attestations...)
	return nil
}

// Add adds files of one kind.
func (i *Item) Add(kind Kind, contents ...[]byte) {
	i.Files = append(i.Files, Files(kind, contents...)...)
}

// Count returns how many files are of one kind.
func (i Item) Count(kind Kind) int { return Count(i.Files, kind) }

// Checked returns the item with its files as they are stored, and the reference of its repository; or an error that
// tells what is wrong with it. Only the form is checked.
func (i Item) Checked() (Item, reference.Named, error) {
	if err := i.Manifest.Validate(); err != nil {
		return Item{}, nil, fmt.Errorf("the manifest's digest is %.80q: %w", i.Manifest, err)
	}
	named, err := reference.ParseNormalizedNamed(i.Repository)
	if err != nil || !reference.IsNameOnly(named) || named.Name() != i.Repository {
		return Item{}, nil, fmt.Errorf("%.300q is not the full name of a repository", i.Repository)
	}
	signatures, bundles, attestations := i.Count(KindSignature), i.Count(KindBundle), i.Count(KindAttestation)
	if max(signatures, bundles, attestations) > MaxFiles {
		return Item{}, nil, fmt.Errorf("%d signatures, %d bundles and %d attestations are more than the limit of %d of each",
			signatures, bundles, attestations, MaxFiles)
	}
	if len(i.Files) == 0 {
		return Item{}, nil, errors.New("there is neither a signature nor a bundle")
	}
	checked := Item{Manifest: i.Manifest, Repository: i.Repository}
	for n, file := range Contents(i.Files, KindSignature) {
		parsed, err := ParseSignature(file)
		if err == nil {
			file, err = parsed.File()
		}
		if err != nil {
			return Item{}, nil, fmt.Errorf("signature %d: %w", n+1, err)
		}
		checked.Add(KindSignature, file)
	}
	if err := checked.addBundles(i); err != nil {
		return Item{}, nil, err
	}
	return checked, named, nil
}

// addBundles adds the bundles and the attestations of another item.
func (i *Item) addBundles(from Item) error {
	for n, bundle := range Contents(from.Files, KindBundle) {
		if _, err := ParseBundle(bundle); err != nil {
			return fmt.Errorf("bundle %d: %w", n+1, err)
		}
		i.Add(KindBundle, bundle)
	}
	for n, attestation := range Contents(from.Files, KindAttestation) {
		parsed, err := ParseBundle(attestation)
		if err == nil && !parsed.Attestation() {
			err = errors.New("it is not an attestation")
		}
		if err != nil {
			return fmt.Errorf("attestation %d: %w", n+1, err)
		}
		i.Add(KindAttestation, attestation)
	}
	return nil
}
