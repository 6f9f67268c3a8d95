package main

import (
	"fmt"
	"os"

	"github.com/countersign/countersign/plugin/internal/claim"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/signature"
)

// shownSigners are the signers of one manifest. Its JSON is a public interface.
type shownSigners struct {
	Repository string `json:"repository,omitempty"`
	Manifest   string `json:"manifest"`
	// Unverified is always true. It reminds the reader that claims are not verified, except timestamps that say so.
	Unverified bool          `json:"unverified"`
	Signers    []shownSigner `json:"signers"`
}

// shownSigner is one signature or attestation, with the number by which --as-policy chooses it.
type shownSigner struct {
	Number int `json:"number"`
	claim.Claim
}

// unnamed stands for the repository of what names none.
const unnamed = "unnamed.invalid/image"

// signersOf numbers the files of items.
func signersOf(items []format.Item) (all []shownSigners, count int) {
	for _, item := range items {
		shown := shownSigners{Repository: item.Repository, Manifest: item.Manifest.String(), Unverified: true}
		if shown.Repository == unnamed {
			shown.Repository = ""
		}
		for _, one := range claim.Of(item.Files) {
			count++
			shown.Signers = append(shown.Signers, shownSigner{count, one})
		}
		if len(shown.Signers) > 0 {
			all = append(all, shown)
		}
	}
	return all, count
}

// verifyTimestamps verifies the timestamps of signers by the trusted root in a file.
func verifyTimestamps(all []shownSigners, path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the trusted root: %w", err)
	}
	authorities, err := signature.ReadTimestampAuthorities(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, shown := range all {
		for i := range shown.Signers {
			shown.Signers[i].VerifyTimestamps(authorities.Verify)
		}
	}
	return nil
}
