package signature

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// attestation is what an attested requirement needs in addition to a signer.
type attestation struct {
	PredicateType string `json:"predicateType"`
	Where         string `json:"where"`
}

func readAttestation(requirement *policy.Requirement) (a attestation) {
	if json.Unmarshal(requirement.JSON, &a) != nil {
		return attestation{}
	}
	return a
}

// maxWhere is how much of a condition a description has, in bytes.
const maxWhere = 200

// describeAttested describes which attestation is required.
func describeAttested(requirement *policy.Requirement) string {
	needs := readAttestation(requirement)
	signed := strings.TrimPrefix(describeSigstoreSigned(requirement), "a signature ")
	description := "an attestation of type " + needs.PredicateType + " " + signed
	if needs.Where != "" {
		description += ", where " + shortenedWhere(needs.Where)
	}
	return description
}

// adviseAttested returns how to make an attestation that meets the requirement.
func adviseAttested(requirement *policy.Requirement, cause policy.Cause, named reference.Named) string {
	w, needs := readWanted(requirement), readAttestation(requirement)
	attest := w.attestCommand(needs.PredicateType, named)
	switch cause {
	case policy.NoAttestation, policy.NoSignature, policy.OnlyAttestations, policy.Malformed, policy.OtherImage:
		return "attest it: " + attest
	case policy.OtherKey:
		return "attest it again with the key of the requirement: " + attest + "; or change the requirement's key"
	case policy.OtherSigner:
		return "attest it again as " + w.signer() + ": " + attest + "; or change the requirement"
	case policy.NotLogged:
		return "attest it again with a transparency log whose key is in the requirement: " + attest +
			"; or remove rekorPublicKey… from the requirement"
	case policy.FalseCondition:
		return "the image has such an attestation, and it says something else than the requirement's condition, " +
			shortenedWhere(needs.Where) + ": build the image so that it is true, and " + attest + "; or change the condition"
	case policy.OtherName, policy.NoName:
		return fmt.Sprintf("attest it again under that name: %s (the subject's name must be %s); or change "+
			"signedIdentity; or let the digest suffice: identity = \"digest\" under [bundles] in config.toml, which counts "+
			"for attestations that name no repository", attest, w.name(named))
	default:
		return ""
	}
}

func shortenedWhere(where string) string { return text.OneLine(text.Shorten(where, maxWhere)) }

// attestCommand returns a command that makes an attestation of a predicate type.
func (w wanted) attestCommand(predicateType string, named reference.Named) string {
	command := fmt.Sprintf("cosign attest %s--type %s --predicate FILE %s@DIGEST",
		w.signerOptions(), cosignType(predicateType), named.Name())
	if w.Fulcio != nil {
		command += " as " + w.signer()
	}
	return command
}

// cosignType returns the name that cosign 3 has for a predicate type (cosign 3.1.3,
// cmd/cosign/cli/options/predicate.go).
func cosignType(predicateType string) string {
	switch predicateType {
	case "https://slsa.dev/provenance/v1":
		return "slsaprovenance1"
	case "https://slsa.dev/provenance/v0.2":
		return "slsaprovenance02"
	case "https://spdx.dev/Document":
		return "spdxjson"
	case "https://cyclonedx.org/bom":
		return "cyclonedx"
	case "https://openvex.dev/ns":
		return "openvex"
	default:
		return predicateType
	}
}
