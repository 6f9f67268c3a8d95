package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/countersign/countersign/plugin/internal/claim"
	"github.com/countersign/countersign/policy/text"
)

func (e *evidenceCommand) newShow() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "show REFERENCE|DIGEST",
		Short: "Show what stored signatures and bundles claim",
		Long: `show lists each stored signature and bundle of an image, and what it claims: for which
repository and manifest it was made, by which key or certificate, and when.

None of this is verified: anybody can write it. To learn whether an image is admitted, and by which
rule, use: countersign check`,
		Example: `  countersign evidence show registry.example/app:v1
  countersign evidence show sha256:20bf21ed457b390829cdbeec8795a7bea1626991fda603e0d01b4e7f60427e55
  countersign evidence show -o json registry.example/app | jq '.[].files[].identity'`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if len(arguments) != 1 {
				return fmt.Errorf("show takes one reference or digest, not %d", len(arguments))
			}
			return nil
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			return e.show(command.Context(), arguments, output)
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return command
}

// shown is the output of show for one manifest in one repository. Its JSON is a public interface.
type shown struct {
	listed
	// Unverified is always true. It reminds the reader that claims are not verified.
	Unverified bool          `json:"unverified"`
	Files      []claim.Claim `json:"files"`
}

func (e *evidenceCommand) show(ctx context.Context, arguments []string, output string) error {
	if err := checkOutput(output); err != nil {
		return err
	}
	picked, err := e.pick(ctx, arguments)
	if err != nil {
		return err
	}
	all := make([]shown, 0, len(picked))
	for _, stored := range picked {
		s := shown{listed: listedFrom(stored), Unverified: true, Files: []claim.Claim{}}
		if item, err := stored.Item(); err == nil {
			s.Files = append(s.Files, claim.Of(item.Files)...)
		} else if stored.Damage == nil {
			return fmt.Errorf("reading the evidence of %s: %w", stored.Manifest, err)
		}
		all = append(all, s)
	}
	if output == "json" {
		return writeJSON(e.stdout, all)
	}
	for _, s := range all {
		if err := s.write(e.stdout); err != nil {
			return fmt.Errorf("writing the evidence: %w", err)
		}
	}
	return nil
}

func (s *shown) write(to io.Writer) error {
	var failure error
	line := func(name, value string) {
		if value != "" {
			_, err := fmt.Fprintf(to, "%-15s %s\n", name+":", text.OneLine(value))
			failure = errors.Join(failure, err)
		}
	}
	line("repository", s.Repository)
	line("manifest", s.Manifest)
	line("outcome", s.Outcome)
	line("note", s.Detail)
	line("fetched", s.Fetched)
	line("imported", s.ImportedAt)
	for _, source := range s.Sources {
		line("source", source.Reference+" at "+source.Host)
	}
	line("directory", s.Directory)
	for _, c := range s.Files {
		writeClaim(c, line)
	}
	if len(s.Files) > 0 {
		line("UNVERIFIED", "these are claims; countersign check REFERENCE evaluates them under a policy")
	}
	_, err := fmt.Fprintln(to)
	return errors.Join(failure, err)
}

func writeClaim(c claim.Claim, line func(name, value string)) {
	line(c.File, c.Kind)
	line("  identity", c.Identity)
	line("  manifest", c.Manifest)
	line("  key", c.Key)
	line("  signer", c.Signer)
	line("  issuer", c.Issuer)
	line("  time", c.Time)
	for _, stamp := range c.Timestamps {
		line("  timestamp", stamp.String())
	}
	line("  predicate", c.Predicate)
	line("  problem", c.Problem)
}
