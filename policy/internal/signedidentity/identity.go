package signedidentity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// Identity says which names a signature may have. Each of the six standard kinds accepts what containers/image accepts
// (policy_reference_match.go, v5.42.0); tests compare the two. References are parsed as in containerd: the grammar of
// containers/image does not allow IPv6 addresses as hosts.
type Identity struct {
	// Kind is its type.
	Kind string
	// named is the reference of exactReference, or the repository of exactRepository.
	named reference.Named
	// prefix and signedPrefix belong to RemapIdentity and RemapRepository.
	prefix, signedPrefix string
}

// Kinds of signedIdentity.
const (
	matchExact             = "matchExact"
	matchRepoDigestOrExact = "matchRepoDigestOrExact"
	matchRepository        = "matchRepository"
	exactReference         = "exactReference"
	exactRepository        = "exactRepository"
)

// Types of identities whose prefix is replaced. RemapRepository is an extension of countersign: signatures by cosign
// name only a repository, which remapIdentity does not accept.
const (
	RemapIdentity   = "remapIdentity"
	RemapRepository = "remapRepository"
)

// MaxReference has room for the longest valid reference: 255 bytes of name, 128 of tag and the longest digest. Parsing
// longer ones would be slow.
const MaxReference = 1024

// Parse parses a signedIdentity. An empty one is the default.
func Parse(raw []byte) (Identity, error) {
	if len(raw) == 0 {
		return Identity{Kind: matchRepoDigestOrExact}, nil
	}
	var members struct {
		Type             string `json:"type"`
		DockerReference  string `json:"dockerReference"`
		DockerRepository string `json:"dockerRepository"`
		Prefix           string `json:"prefix"`
		SignedPrefix     string `json:"signedPrefix"`
	}
	if err := strictly(raw, &members); err != nil {
		return Identity{}, fmt.Errorf("reading signedIdentity: %w", err)
	}
	parsed := Identity{Kind: members.Type}
	var err error
	switch members.Type {
	case matchExact, matchRepoDigestOrExact, matchRepository:
	case exactReference:
		parsed.named, err = reference.ParseNormalizedNamed(members.DockerReference)
		if err == nil && reference.IsNameOnly(parsed.named) {
			err = fmt.Errorf("signedIdentity's reference %s has neither a tag nor a digest", parsed.named)
		}
	case exactRepository:
		parsed.named, err = reference.ParseNormalizedNamed(members.DockerRepository)
	case RemapIdentity, RemapRepository:
		if members.Prefix == "" || members.SignedPrefix == "" {
			return Identity{}, fmt.Errorf("signedIdentity remaps %q to %q", members.Prefix, members.SignedPrefix)
		}
		parsed.prefix, parsed.signedPrefix = members.Prefix, members.SignedPrefix
	default:
		err = fmt.Errorf("signedIdentity is of the unknown type %q", members.Type)
	}
	return parsed, err
}

// strictly decodes JSON and refuses fields that the value does not have.
func strictly(raw []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(value)
}

// Accepts reports whether a signature with the claimed name is accepted for an image with the intended reference.
func (i Identity) Accepts(intended reference.Named, claimed string) bool {
	if len(claimed) > MaxReference {
		return false
	}
	signed, err := reference.ParseNormalizedNamed(claimed)
	if err != nil {
		return false
	}
	switch i.Kind {
	case matchExact:
		return exactly(intended, signed)
	case matchRepoDigestOrExact:
		return repositoryByDigestOrExactly(intended, signed)
	case matchRepository:
		return signed.Name() == intended.Name()
	case exactReference:
		return exactly(i.named, signed)
	case exactRepository:
		return signed.Name() == i.named.Name()
	case RemapIdentity:
		remapped, err := i.Remap(intended)
		return err == nil && repositoryByDigestOrExactly(remapped, signed)
	case RemapRepository:
		remapped, err := i.Remap(intended)
		return err == nil && signed.Name() == remapped.Name()
	default:
		return false
	}
}

// exactly compares references that have a tag or a digest, as those of images and policies always do.
func exactly(intended, signed reference.Named) bool {
	return signed.String() == intended.String()
}

// repositoryByDigestOrExactly compares only repositories if the image's reference has a digest: the digest was already
// compared with the image that runs, and with the signed one.
func repositoryByDigestOrExactly(intended, signed reference.Named) bool {
	if reference.IsNameOnly(signed) {
		return false
	}
	switch intended.(type) {
	case reference.NamedTagged:
		return signed.String() == intended.String()
	case reference.Canonical:
		return signed.Name() == intended.Name()
	default:
		return false
	}
}

// Remap replaces the prefix of a reference if it matches.
func (i Identity) Remap(intended reference.Named) (reference.Named, error) {
	rest, ok := strings.CutPrefix(intended.Name(), i.prefix)
	if !ok || rest != "" && rest[0] != '/' {
		return intended, nil
	}
	return reference.ParseNamed(strings.Replace(intended.String(), i.prefix, i.signedPrefix, 1))
}

// Wanted returns a name that a signature may have to be accepted for the image.
func (i Identity) Wanted(intended reference.Named) string {
	switch i.Kind {
	case matchRepository:
		return intended.Name()
	case exactReference, exactRepository:
		return i.named.String()
	case RemapRepository:
		if remapped, err := i.Remap(intended); err == nil {
			return remapped.Name()
		}
		return "REPOSITORY"
	case RemapIdentity:
		if remapped, err := i.Remap(intended); err == nil {
			return remapped.String()
		}
		return "REPOSITORY"
	default:
		return intended.String()
	}
}
