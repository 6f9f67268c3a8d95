package signature

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	containersreference "go.podman.io/image/v5/docker/reference"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/signedidentity"
)

// remapExtension is the name of the extension in [policy.Requirement].Extensions.
const remapExtension = "signedIdentity.remapRepository"

// standardIdentity replaces signedIdentity remapRepository by remapIdentity, which has the same fields, so that
// containers/image checks them. It reports whether it did.
func standardIdentity(members []member) bool {
	replaced := false
	for i, one := range members {
		if one.name != "signedIdentity" {
			continue
		}
		inner, ok := readMembers(one.value)
		if !ok {
			continue
		}
		for j, field := range inner {
			var kind string
			if field.name == "type" && json.Unmarshal(field.value, &kind) == nil && kind == signedidentity.RemapRepository {
				inner[j].value = []byte(`"` + signedidentity.RemapIdentity + `"`)
				replaced = true
			}
		}
		members[i].value = joinMembers(inner)
	}
	return replaced
}

// withoutRemap is withoutExtensions for requirements of type signedBy.
func withoutRemap(raw []byte) (rest []byte, names []string) {
	members, ok := readMembers(raw)
	if !ok || !standardIdentity(members) {
		return raw, nil
	}
	return joinMembers(members), []string{remapExtension}
}

// withRemapped returns the requirement for an image. If its signedIdentity is remapRepository, that becomes the exact
// repository that a signature must name, which containers/image can compare.
func withRemapped(requirement *policy.Requirement, ref reference.Named) (*policy.Requirement, error) {
	if !bytes.Contains(requirement.JSON, []byte(signedidentity.RemapRepository)) {
		return requirement, nil
	}
	var members fields
	if err := json.Unmarshal(requirement.JSON, &members); err != nil {
		return nil, fmt.Errorf("reading the requirement: %w", err)
	}
	identity, err := signedidentity.Parse(members["signedIdentity"])
	if err != nil {
		return nil, err
	}
	if identity.Kind != signedidentity.RemapRepository {
		return requirement, nil
	}
	remapped, err := identity.Remap(ref)
	if err != nil {
		return nil, fmt.Errorf("signedIdentity remaps %s to a name that is none: %w", ref, err)
	}
	if _, err := containersreference.ParseNormalizedNamed(remapped.Name()); err != nil {
		return nil, fmt.Errorf("containers/image cannot parse the name %s: %w", remapped.Name(), err)
	}
	if members["signedIdentity"], err = json.Marshal(map[string]string{
		"type": "exactRepository", "dockerRepository": remapped.Name(),
	}); err != nil {
		return nil, fmt.Errorf("writing signedIdentity: %w", err)
	}
	changed := *requirement
	if changed.JSON, err = json.Marshal(members); err != nil {
		return nil, fmt.Errorf("writing the requirement: %w", err)
	}
	if changed.ID != "" {
		changed.ID = digest.FromString(changed.ID.String() + " " + remapped.Name())
	}
	return &changed, nil
}
