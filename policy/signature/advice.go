package signature

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/fulcio"
	"github.com/countersign/countersign/policy/internal/signedidentity"
)

func adviseReject(*policy.Requirement, policy.Cause, reference.Named) string {
	return "no signature would help: add a scope for the image that accepts it or requires a signature"
}

func adviseSignedBaseLayer(*policy.Requirement, policy.Cause, reference.Named) string {
	return "no signature would help: no tool implements signedBaseLayer; use sigstoreSigned or signedBy"
}

// adviseSignedBy returns advice for simple signing. cosign does not create such signatures.
func adviseSignedBy(_ *policy.Requirement, cause policy.Cause, _ reference.Named) string {
	const sign = "sign it with GPG: podman image sign, or skopeo copy --sign-by or skopeo standalone-sign, and publish " +
		"the signature in the lookaside that registries.d names for the registry; cosign does not create such signatures"
	switch cause {
	case policy.NoSignature, policy.OnlyAttestations, policy.Malformed, policy.OtherImage:
		return sign
	case policy.OtherKey, policy.OtherSigner, policy.NotLogged:
		return "sign it with a GPG key that is in the requirement's keyring (podman image sign, skopeo standalone-sign), " +
			"or add the signer's public key to the keyring"
	case policy.OtherName, policy.NoName:
		return "sign it under the name that signedIdentity requires (skopeo standalone-sign MANIFEST REFERENCE …), or " +
			"change signedIdentity: matchRepository accepts any tag of the repository"
	default:
		return ""
	}
}

// wanted contains what a sigstoreSigned requirement needs, as far as advice depends on it.
type wanted struct {
	SignedIdentity struct {
		Type             string `json:"type"`
		DockerReference  string `json:"dockerReference"`
		DockerRepository string `json:"dockerRepository"`
		Prefix           string `json:"prefix"`
		SignedPrefix     string `json:"signedPrefix"`
	} `json:"signedIdentity"`
	TrustedRoot []byte           `json:"trustedRootData"`
	TLog        string           `json:"tlog"`
	Fulcio      *fulcio.Identity `json:"fulcio"`
	PKI         *struct {
		SubjectEmail    string `json:"subjectEmail"`
		SubjectHostname string `json:"subjectHostname"`
	} `json:"pki"`
}

// readWanted reads a requirement that was parsed before. Fields that cannot be parsed are empty.
func readWanted(r *policy.Requirement) wanted {
	var w wanted
	if json.Unmarshal(r.JSON, &w) != nil {
		return wanted{}
	}
	return w
}

func adviseSigstoreSigned(requirement *policy.Requirement, cause policy.Cause, named reference.Named) string {
	w := readWanted(requirement)
	sign := w.command(named)
	switch cause {
	case policy.NoSignature, policy.Malformed, policy.OtherImage:
		return "sign it: " + sign
	case policy.OnlyAttestations:
		return "sign it: " + sign + "; attestations do not sign an image"
	case policy.OtherKey:
		return "sign it again with the key of the requirement: " + sign + "; or change the requirement's key"
	case policy.OtherSigner:
		return "sign it again as " + w.signer() + ": " + sign + "; or change the requirement"
	case policy.NotLogged:
		return w.adviseLog(sign)
	case policy.NoName:
		return fmt.Sprintf("sign it again: %s; or let the digest suffice, for whichever repository the signature was made "+
			"for: identity = \"digest\" under [bundles], or for this namespace under [bundles.namespaces], in config.toml",
			sign)
	case policy.OtherName:
		return "sign it again under that name: " + sign + w.otherwise()
	default:
		return ""
	}
}

// adviseLog returns advice for a signature that no log or timestamp authority has seen as the requirement needs.
func (w wanted) adviseLog(sign string) string {
	switch {
	case w.TLog == tlogNone:
		return "sign it again with a timestamp authority of the trusted root (cosign signing-config create " +
			"--tsa …): " + sign
	case w.TrustedRoot != nil:
		return "sign it again with a transparency log of the trusted root, and for a certificate with a timestamp " +
			"authority of it or a log of Rekor v1: " + sign + "; or update the trusted root"
	default:
		return "sign it again with a transparency log whose key is in the requirement (without --tlog-upload=false): " +
			sign + "; or remove rekorPublicKey… from the requirement"
	}
}

// signerOptions returns the options of cosign sign and cosign attest that name the signer, with a space after the last.
func (w wanted) signerOptions() string {
	switch {
	case w.Fulcio != nil:
		return ""
	case w.PKI != nil:
		return "--key KEY --certificate CERTIFICATE --certificate-chain CHAIN "
	default:
		return "--key cosign.key "
	}
}

// command returns a command that creates a signature which the requirement accepts.
func (w wanted) command(named reference.Named) string {
	command := fmt.Sprintf("cosign sign %s-a docker-reference=%s %s@DIGEST",
		w.signerOptions(), w.name(named), named.Name())
	if w.Fulcio != nil {
		command += " as " + w.signer()
	}
	return command
}

// signer describes who has to sign.
func (w wanted) signer() string {
	switch {
	case w.Fulcio != nil:
		return w.Fulcio.String()
	case w.PKI != nil && w.PKI.SubjectEmail != "":
		return w.PKI.SubjectEmail + ", with a certificate from the requirement's authority"
	case w.PKI != nil:
		return w.PKI.SubjectHostname + ", with a certificate from the requirement's authority"
	default:
		return "the owner of the requirement's key"
	}
}

// name returns the name that a signature must have. signedIdentity determines it by its type
// (containers-policy.json(5), "signedIdentity").
func (w wanted) name(named reference.Named) string {
	identity := w.SignedIdentity
	switch identity.Type {
	case "matchRepository":
		return named.Name()
	case "exactReference":
		return identity.DockerReference
	case "exactRepository":
		return identity.DockerRepository
	case signedidentity.RemapRepository:
		if rest, ok := strings.CutPrefix(named.Name(), identity.Prefix); ok {
			return identity.SignedPrefix + rest
		}
		return named.Name()
	case signedidentity.RemapIdentity:
		if rest, ok := strings.CutPrefix(named.String(), identity.Prefix); ok {
			return identity.SignedPrefix + rest
		}
	}
	return named.String()
}

// otherwise returns how to change a requirement that does not accept names as cosign writes them.
func (w wanted) otherwise() string {
	switch w.SignedIdentity.Type {
	case "", "matchRepoDigestOrExact", "matchExact":
		return "; or use signedIdentity matchRepository: cosign's old format contains the repository without a tag, which " +
			"no other signedIdentity accepts for the image's own name"
	case signedidentity.RemapIdentity:
		return "; remapIdentity requires a tag or a digest in the signed name, which cosign's old format lacks: " +
			"remapRepository, an extension of countersign, does not"
	default:
		return ""
	}
}
