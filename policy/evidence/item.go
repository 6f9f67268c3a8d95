package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// Item is the evidence of one manifest, or index, in one repository, as it is carried from one node to another.
type Item struct {
	Manifest digest.Digest `json:"manifest"`
	// Repository is a normalised name without tag or digest, such as docker.io/library/busybox.
	Repository string `json:"repository"`
	// Signatures are files as containers/image's dir: transport has them: see [ParseSignature].
	Signatures [][]byte `json:"signatures,omitempty"`
	// Bundles are Sigstore bundles in JSON: see [ParseBundle].
	Bundles [][]byte `json:"bundles,omitempty"`
}

// MaxFiles is how many signatures one directory holds, and how many bundles; MaxFile bounds each of them, and
// MaxItem all together, in bytes.
const (
	MaxFiles = maxSignatures
	MaxFile  = maxPayload
	MaxItem  = maxDirectory
)

// maxSignatureFile bounds a signature file: its payload in base64, and annotations.
const maxSignatureFile = 4 * maxPayload

// checked returns the item with its files as they are to be kept, and the reference of its repository; or an error
// that says what is wrong with it. Nothing is verified but the form.
func (i Item) checked() (Item, reference.Named, error) {
	if err := i.Manifest.Validate(); err != nil {
		return Item{}, nil, fmt.Errorf("the manifest's digest is %.80q: %w", i.Manifest, err)
	}
	named, err := reference.ParseNormalizedNamed(i.Repository)
	if err != nil || !reference.IsNameOnly(named) || named.Name() != i.Repository {
		return Item{}, nil, fmt.Errorf("%.300q is not the full name of a repository", i.Repository)
	}
	if len(i.Signatures) > MaxFiles || len(i.Bundles) > MaxFiles {
		return Item{}, nil, fmt.Errorf("%d signatures and %d bundles are more than the %d of each that are kept",
			len(i.Signatures), len(i.Bundles), MaxFiles)
	}
	if len(i.Signatures)+len(i.Bundles) == 0 {
		return Item{}, nil, errors.New("there is neither a signature nor a bundle")
	}
	checked := Item{Manifest: i.Manifest, Repository: i.Repository}
	for n, file := range i.Signatures {
		parsed, err := ParseSignature(file)
		if err == nil {
			file, err = parsed.File()
		}
		if err != nil {
			return Item{}, nil, fmt.Errorf("signature %d: %w", n+1, err)
		}
		checked.Signatures = append(checked.Signatures, file)
	}
	for n, bundle := range i.Bundles {
		if _, err := ParseBundle(bundle); err != nil {
			return Item{}, nil, fmt.Errorf("bundle %d: %w", n+1, err)
		}
		checked.Bundles = append(checked.Bundles, bundle)
	}
	return checked, named, nil
}

// Bundle is what can be read of a Sigstore bundle without verifying anything.
type Bundle struct {
	MediaType string
	// PredicateType is that of the statement in its envelope; empty where it has none that can be read.
	PredicateType string
	// Payload is what the envelope holds, and Hint names the key that is said to have signed it.
	Payload []byte
	Hint    string
	// Certificate is the signer's, in DER, where the bundle has one.
	Certificate []byte
}

// bundlePrefix begins the media types of Sigstore bundles: application/vnd.dev.sigstore.bundle.v0.3+json since
// version 0.3, and application/vnd.dev.sigstore.bundle+json;version=0.N before.
const bundlePrefix = "application/vnd.dev.sigstore.bundle"

// ParseBundle reads a Sigstore bundle. An error says that it is none, or larger than what is kept; that it has a
// signature, or one that anybody trusts, is not looked at.
func ParseBundle(raw []byte) (Bundle, error) {
	if len(raw) > MaxFile {
		return Bundle{}, fmt.Errorf("it has %d bytes, and a bundle has at most %d", len(raw), MaxFile)
	}
	var document struct {
		MediaType    string `json:"mediaType"`
		Verification struct {
			PublicKey struct {
				Hint string `json:"hint"`
			} `json:"publicKey"`
			Certificate struct {
				RawBytes []byte `json:"rawBytes"`
			} `json:"certificate"`
		} `json:"verificationMaterial"`
		Envelope struct {
			Payload []byte `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(raw, &document); err != nil {
		return Bundle{}, fmt.Errorf("it is not a Sigstore bundle: %w", err)
	}
	if !strings.HasPrefix(document.MediaType, bundlePrefix) {
		return Bundle{}, fmt.Errorf("it is not a Sigstore bundle: its media type is %.80q", document.MediaType)
	}
	bundle := Bundle{
		MediaType:   document.MediaType,
		Payload:     document.Envelope.Payload,
		Hint:        document.Verification.PublicKey.Hint,
		Certificate: document.Verification.Certificate.RawBytes,
	}
	var statement struct {
		PredicateType string `json:"predicateType"`
	}
	// What is not a statement has no predicate type.
	if json.Unmarshal(bundle.Payload, &statement) == nil {
		bundle.PredicateType = statement.PredicateType
	}
	return bundle, nil
}

// signPredicate is the type of what cosign 3 signs images with; bundles with another one are attestations.
const signPredicate = "https://sigstore.dev/cosign/sign/v1"

// Attestation reports whether the bundle is about something else than that an image is signed.
func (b Bundle) Attestation() bool { return b.PredicateType != "" && b.PredicateType != signPredicate }
