package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/plugin/internal/claim"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// writeSigners writes signers for people.
func writeSigners(to io.Writer, all []shownSigners) error {
	var failure error
	line := func(name, value string) {
		if value != "" {
			_, err := fmt.Fprintf(to, "%-14s %s\n", name+":", text.OneLine(value))
			failure = errors.Join(failure, err)
		}
	}
	for _, shown := range all {
		line("repository", shown.Repository)
		line("manifest", shown.Manifest)
		for _, signer := range shown.Signers {
			line(fmt.Sprint(signer.Number), signer.Kind)
			line("  predicate", predicateOf(signer.Claim))
			line("  name", signer.Identity)
			line("  of", signer.Manifest)
			line("  key", keyOf(signer.Claim))
			line("  signer", signer.Signer)
			line("  issuer", signer.Issuer)
			for _, extension := range signer.Extensions {
				line("  "+extension.OID, strings.TrimSpace(extension.Name+" "+fmt.Sprintf("%q", extension.Value)))
			}
			line("  log index", signer.LogIndex)
			line("  time", signer.Time)
			line("  problem", signer.Problem)
		}
	}
	line("UNVERIFIED", "these are claims; countersign check --image registry REFERENCE evaluates them under a policy")
	if failure != nil {
		return fmt.Errorf("writing the signers: %w", failure)
	}
	return nil
}

// predicateOf returns the predicate type of an attestation.
func predicateOf(of claim.Claim) string {
	if of.Kind == "attestation" {
		return of.Predicate
	}
	return ""
}

// keyOf returns the key of a claim as details of verdicts have it: the hint of a bundle is the fingerprint in base64.
func keyOf(of claim.Claim) string {
	if raw, err := base64.StdEncoding.DecodeString(of.Key); err == nil && len(raw) == 32 {
		return "sha256:" + hex.EncodeToString(raw)
	}
	return of.Key
}

// writeRequirement writes a requirement that accepts the chosen signer, and what to do with it.
func (f signersFlags) writeRequirement(all []shownSigners, count int, output signersOutput) error {
	for _, shown := range all {
		i := slices.IndexFunc(shown.Signers, func(s shownSigner) bool { return s.Number == f.number })
		if i < 0 {
			continue
		}
		requirement, notes, err := f.requirement(shown.Repository, shown.Signers[i].Claim)
		if err != nil {
			return fmt.Errorf("number %d: %w", f.number, err)
		}
		for _, note := range notes {
			fmt.Fprintln(output.stderr, "countersign: "+text.OneLine(note))
		}
		encoder := json.NewEncoder(output.stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(requirement)
	}
	return fmt.Errorf("there is no number %d: %s", f.number, fmt.Sprintf("the last is %d", count))
}

// requirement returns a requirement that accepts what a signer made, in a repository, and notes about it.
func (f signersFlags) requirement(repository string, of claim.Claim) (made map[string]any, notes []string, err error) {
	if of.Problem != "" {
		return nil, nil, errors.New(of.Problem)
	}
	made = map[string]any{"type": policy.SigstoreSigned}
	switch of.Kind {
	case "simple-signing":
		made = map[string]any{"type": policy.SignedBy, "keyType": "GPGKeys", "keyPath": f.key}
		notes = append(notes, fmt.Sprintf("put the public key of %s into %s", of.Key, f.key))
	case "attestation":
		made["type"], made["predicateType"] = policy.Attested, of.Predicate
	}
	if of.Kind != "simple-signing" {
		more, err := f.addSigner(made, of)
		if err != nil {
			return nil, nil, err
		}
		notes = append(notes, more...)
	}
	identity, note := identityFor(repository, of)
	made["signedIdentity"] = identity
	if note != "" {
		notes = append(notes, note)
	}
	return made, notes, nil
}

// addSigner adds the signer of a signature or an attestation.
func (f signersFlags) addSigner(to map[string]any, of claim.Claim) (notes []string, err error) {
	switch {
	case of.Signer == "":
		to["keyPath"] = f.key
		if key := keyOf(of); key != "" {
			return []string{fmt.Sprintf("put the public key with the fingerprint %s into %s", key, f.key)}, nil
		}
		return []string{"put the signer's public key into " + f.key}, nil
	case len(of.Extensions) == 0:
		return nil, errors.New("its certificate is not one of Fulcio: write a requirement with pki, and the authority's root")
	}
	identity := map[string]string{"oidcIssuer": of.Issuer}
	switch of.SubjectKind {
	case "email":
		identity["subjectEmail"] = of.Signer
	case "uri":
		identity["subjectURI"] = of.Signer
		notes = append(notes, "subjectURI accepts this URI only, with its ref; subjectURIPattern accepts others too")
		for _, extension := range of.Extensions {
			if extension.Field == "sourceRepositoryURI" || extension.Field == "runnerEnvironment" {
				identity[extension.Field] = extension.Value
			}
		}
	default:
		return nil, fmt.Errorf("its certificate is for %q, which no requirement can name", of.Signer)
	}
	to["fulcio"], to["trustedRootPath"] = identity, f.trustedRoot
	if of.LogIndex == "" {
		to["tlog"] = "none"
	}
	return append(notes, "put the trusted root of its Sigstore into "+f.trustedRoot+
		" (cosign trusted-root create, or trusted_root.json of the public one)"), nil
}

// identityFor returns the signedIdentity for the claimed name.
func identityFor(repository string, of claim.Claim) (identity map[string]string, note string) {
	matchRepository := map[string]string{"type": "matchRepository"}
	named, err := reference.ParseNormalizedNamed(of.Identity)
	switch {
	case of.Identity == "" || err != nil:
		return matchRepository, "it names no repository: it is accepted only with identity = \"digest\" under [bundles] in " +
			"config.toml"
	case repository == "" || named.Name() == repository:
		return matchRepository, ""
	default:
		return map[string]string{"type": "exactRepository", "dockerRepository": named.Name()},
			"it was made for " + named.Name() + ", not for " + repository
	}
}
