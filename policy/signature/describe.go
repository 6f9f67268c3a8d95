package signature

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/signedidentity"
	"github.com/countersign/countersign/policy/text"
)

// mostKeys is how many keys a description lists.
const mostKeys = 4

func describeAccept(*policy.Requirement) string { return "accepts every image" }

func describeReject(*policy.Requirement) string { return "refuses every image" }

func describeSignedBaseLayer(*policy.Requirement) string {
	return "refuses every image, because no tool implements it"
}

func describeSignedBy(requirement *policy.Requirement) string {
	by := "a key of the keyring"
	if keys := keyringFingerprints(requirement); len(keys) > 0 {
		by = text.List(keys, mostKeys)
	}
	return "a GPG signature by " + by + " for " + readWanted(requirement).described()
}

// describeSigstoreSigned describes who has to sign, under which name, and whether in a log.
func describeSigstoreSigned(requirement *policy.Requirement) string {
	w := readWanted(requirement)
	by := w.signer()
	if keys := publicKeyFingerprints(requirement); len(keys) > 0 {
		by = text.List(keys, mostKeys)
	}
	description := "a signature by " + by + " for " + w.described()
	var keys trust
	if json.Unmarshal(requirement.JSON, &keys) != nil {
		return description
	}
	switch {
	case keys.TrustedRootData != nil && keys.TLog == tlogNone:
		return description + ", with a timestamp by an authority of its trusted root"
	case keys.TrustedRootData != nil:
		return description + ", in a transparency log of its trusted root"
	case len(keys.RekorPublicKeyData)+len(keys.RekorPublicKeyDatas) > 0:
		return description + ", in a transparency log"
	default:
		return description
	}
}

// described describes which name a signature must have.
func (w wanted) described() string {
	identity := w.SignedIdentity
	switch identity.Type {
	case "matchRepository":
		return "the image's repository, with any tag"
	case "matchExact":
		return "exactly the image's reference"
	case "exactReference":
		return "exactly " + identity.DockerReference
	case "exactRepository":
		return "the repository " + identity.DockerRepository + ", with any tag"
	case signedidentity.RemapRepository:
		return fmt.Sprintf("the image's repository with %s instead of %s, with any tag",
			identity.SignedPrefix, identity.Prefix)
	case signedidentity.RemapIdentity:
		return strings.Join([]string{"the image's reference with", identity.SignedPrefix, "instead of", identity.Prefix}, " ")
	default:
		return "the image's reference, or for a reference by digest its repository with any tag"
	}
}
