package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/distribution/reference"
)

// identity is a signedIdentity of containers-policy.json(5): which names a signature may speak of. What each of the six
// kinds accepts is what containers/image accepts (policy_reference_match.go, v5.42.0); tests compare the two.
// References are parsed as containerd parses them: the grammar of containers/image has no host that is an address of
// IPv6.
type identity struct {
	kind string
	// named is the reference of exactReference, and the repository of exactRepository.
	named reference.Named
	// prefix and signedPrefix belong to remapIdentity.
	prefix, signedPrefix string
}

// Kinds of signedIdentity.
const (
	matchExact             = "matchExact"
	matchRepoDigestOrExact = "matchRepoDigestOrExact"
	matchRepository        = "matchRepository"
	exactReference         = "exactReference"
	exactRepository        = "exactRepository"
	remapIdentity          = "remapIdentity"
)

// maxReference has room for the longest reference that parses: 255 bytes of name, 128 of tag and the longest
// digest. Finding out that a longer one does not would take long.
const maxReference = 1024

// parseIdentity parses a signedIdentity. Nothing stands for the default.
func parseIdentity(raw []byte) (identity, error) {
	if len(raw) == 0 {
		return identity{kind: matchRepoDigestOrExact}, nil
	}
	var members struct {
		Type             string `json:"type"`
		DockerReference  string `json:"dockerReference"`
		DockerRepository string `json:"dockerRepository"`
		Prefix           string `json:"prefix"`
		SignedPrefix     string `json:"signedPrefix"`
	}
	if err := strictly(raw, &members); err != nil {
		return identity{}, fmt.Errorf("reading signedIdentity: %w", err)
	}
	parsed := identity{kind: members.Type}
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
	case remapIdentity:
		if members.Prefix == "" || members.SignedPrefix == "" {
			return identity{}, fmt.Errorf("signedIdentity remaps %q to %q", members.Prefix, members.SignedPrefix)
		}
		parsed.prefix, parsed.signedPrefix = members.Prefix, members.SignedPrefix
	default:
		err = fmt.Errorf("signedIdentity is of the unknown type %q", members.Type)
	}
	return parsed, err
}

// strictly decodes JSON that may have no names but those of the value.
func strictly(raw []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(value)
}

// accepts reports whether an image that is called intended may be signed under the name that is claimed.
func (i identity) accepts(intended reference.Named, claimed string) bool {
	if len(claimed) > maxReference {
		return false
	}
	signed, err := reference.ParseNormalizedNamed(claimed)
	if err != nil {
		return false
	}
	switch i.kind {
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
	case remapIdentity:
		remapped, err := i.remap(intended)
		return err == nil && repositoryByDigestOrExactly(remapped, signed)
	default:
		return false
	}
}

// exactly compares with a reference that has a tag or a digest, as an image's and a policy's always have.
func exactly(intended, signed reference.Named) bool {
	return signed.String() == intended.String()
}

// repositoryByDigestOrExactly wants no more than the repository where the image is called by its digest: the digest was
// compared with what runs, and with what is signed.
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

// remap replaces the prefix of a reference, if it has it.
func (i identity) remap(intended reference.Named) (reference.Named, error) {
	rest, ok := strings.CutPrefix(intended.Name(), i.prefix)
	if !ok || rest != "" && rest[0] != '/' {
		return intended, nil
	}
	return reference.ParseNamed(strings.Replace(intended.String(), i.prefix, i.signedPrefix, 1))
}

// wanted is a name that a signature may speak of to be accepted for an image that is called intended.
func (i identity) wanted(intended reference.Named) string {
	switch i.kind {
	case matchRepository:
		return intended.Name()
	case exactReference, exactRepository:
		return i.named.String()
	case remapIdentity:
		if remapped, err := i.remap(intended); err == nil {
			return remapped.String()
		}
		return "REPOSITORY"
	default:
		return intended.String()
	}
}
