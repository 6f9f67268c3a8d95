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
			for _, stamp := range signer.Timestamps {
				line("  timestamp", stamp.String())
			}
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

// writeRequirement writes a requirement that accepts the signer with a number, or the only one if the number is zero,
// and what to do with it.
func (f signersFlags) writeRequirement(all []shownSigners, number int, output signersOutput) error {
	shown, chosen, err := choose(all, number)
	if err != nil {
		return err
	}
	requirement, notes, err := f.requirement(shown.Repository, chosen.Claim)
	if err != nil {
		return fmt.Errorf("number %d: %w", chosen.Number, err)
	}
	for _, note := range notes {
		fmt.Fprintln(output.stderr, "countersign: "+text.OneLine(note))
	}
	encoder := json.NewEncoder(output.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(requirement)
}

// mostSigners is how many signers an error lists.
const mostSigners = 8

// choose returns the signer with a number, or the only one if the number is zero, and what it is listed in.
func choose(all []shownSigners, number int) (of shownSigners, chosen shownSigner, err error) {
	var listed []string
	for _, shown := range all {
		for _, signer := range shown.Signers {
			if signer.Number == number {
				return shown, signer, nil
			}
			listed = append(listed, signer.summary())
		}
	}
	switch {
	case number > 0:
		return of, chosen, fmt.Errorf("there is no number %d: the last is %d", number, len(listed))
	case len(listed) > 1:
		return of, chosen, fmt.Errorf("there are %d signers: choose one with --as-policy=N: %s",
			len(listed), text.List(listed, mostSigners))
	default:
		return all[0], all[0].Signers[0], nil
	}
}

// summary describes a signer in some words.
func (s shownSigner) summary() string {
	words := []string{fmt.Sprint(s.Number), s.Kind, predicateOf(s.Claim)}
	if s.Signer != "" {
		words = append(words, "by", s.Signer)
	} else if key := keyOf(s.Claim); key != "" {
		words = append(words, "by", key)
	}
	words = slices.DeleteFunc(words, func(word string) bool { return word == "" })
	return text.OneLine(strings.Join(words, " "))
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
