package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/archive"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/text"
)

// signersFlags are the flags of policy show-signers.
type signersFlags struct {
	config, output string
	timeout        time.Duration
	// number is the signer of whom a requirement is printed, or onlySigner.
	number string
	// key and trustedRoot are the paths in that requirement.
	key, trustedRoot string
	// verifies reports whether the trusted root was given: then it verifies timestamps.
	verifies bool
}

func newShowSignersCommand(stdout io.Writer) *cobra.Command {
	flags := signersFlags{}
	command := &cobra.Command{
		Use:   "show-signers [flags] REFERENCE | dir:PATH | oci:PATH",
		Short: "Show who signed an image, and write a requirement that accepts the signer",
		Long: `show-signers prints what a registry has of signatures and attestations of an image, or a directory
that skopeo or podman wrote, or an OCI image layout (cosign save --dir PATH REFERENCE): who made each of
them, with every extension of a certificate of Fulcio. Nothing of it is verified: anybody who can push
to the repository can write it. With --trusted-root, only the timestamps (RFC 3161) are verified, by the
timestamp authorities in that file: entries of Rekor v2 have no time of their own.

With --as-policy, it prints a requirement instead that accepts who made the only signature, ready to be put
into the list of a scope. If there are several, choose one: --as-policy=N. The requirement names the key or
the trusted root by a path: put the file there.

Exit status: 0; 2 if nothing was found, or for a failure.`,
		Example: `  countersign policy show-signers registry.example/app:v1
  countersign policy show-signers --trusted-root trusted_root.json ghcr.io/org/app:v1
  countersign policy show-signers --as-policy ghcr.io/org/app:v1
  countersign policy show-signers --as-policy=2 ghcr.io/org/app:v1
  countersign policy show-signers -o json oci:./saved | jq -r '.[].signers[].signer'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("policy show-signers takes one image, not %d: "+
					"countersign policy show-signers [--as-policy[=N]] REFERENCE", len(args))
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			chosen := command.Flags().Changed("as-policy")
			flags.verifies = command.Flags().Changed("trusted-root") && !chosen
			return showSigners(command.Context(), flags, args[0], signersOutput{stdout, command.ErrOrStderr(), chosen})
		},
	}
	set := command.Flags()
	set.StringVar(&flags.config, "config", "", "configuration `file` (default "+conf.DefaultPath+")")
	set.StringVar(&flags.number, "as-policy", "",
		"print a requirement that accepts the only signer, or the one with this `number`")
	set.Lookup("as-policy").NoOptDefVal = onlySigner
	set.StringVar(&flags.key, "key", "/etc/countersign/keys/cosign.pub", "the key file in the requirement")
	set.StringVar(&flags.trustedRoot, "trusted-root", "/etc/countersign/trusted_root.json",
		"the trusted root in the requirement; without --as-policy, the `file` that verifies timestamps")
	set.DurationVar(&flags.timeout, "timeout", fetchTimeout, "how long the registry may take")
	set.StringVarP(&flags.output, "output", "o", "text", "text or json")
	return command
}

// onlySigner is the value of --as-policy without a number.
const onlySigner = "only"

// chosenNumber returns the number of the signer of whom a requirement is printed; zero: of the only one.
func (f signersFlags) chosenNumber() (int, error) {
	if f.number == onlySigner {
		return 0, nil
	}
	number, err := strconv.Atoi(f.number)
	if err != nil || number < 1 {
		return 0, fmt.Errorf("--as-policy=%s is not the number of a signer: they are numbered from 1", text.OneLine(f.number))
	}
	return number, nil
}

// signersOutput is where results and notes go. chosen reports whether one signer was chosen.
type signersOutput struct {
	stdout, stderr io.Writer
	chosen         bool
}

func showSigners(ctx context.Context, flags signersFlags, image string, output signersOutput) error {
	if err := checkOutput(flags.output); err != nil {
		return err
	}
	if flags.timeout <= 0 {
		return fmt.Errorf("--timeout %s is not a positive duration", flags.timeout)
	}
	number, err := flags.chosenNumber()
	if output.chosen && err != nil {
		return err
	}
	items, err := flags.items(ctx, image)
	if err != nil {
		return err
	}
	all, count := signersOf(items)
	if count == 0 {
		return fmt.Errorf("%s has no signature and no attestation", text.OneLine(image))
	}
	if output.chosen {
		return flags.writeRequirement(all, number, output)
	}
	if flags.verifies {
		if err := verifyTimestamps(all, flags.trustedRoot); err != nil {
			return err
		}
	}
	if flags.output == "json" {
		return writeJSON(output.stdout, all)
	}
	return writeSigners(output.stdout, all)
}

// items returns the evidence of an image, from its registry or from files.
func (f signersFlags) items(ctx context.Context, image string) ([]format.Item, error) {
	as, err := policy.Normalize(unnamed)
	if err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(image, "dir:"); ok {
		return archive.Directory(path, as)
	}
	if path, ok := strings.CutPrefix(image, "oci:"); ok {
		return layoutItems(path, as)
	}
	config, err := conf.Read(f.config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	opened, err := openRegistry(ctx, config, image, registryFetch{
		predicates: func(reference.Named) policy.Predicates { return policy.AllPredicates },
	})
	if refusal, ok := errors.AsType[*policy.Refusal](err); ok {
		return nil, errors.New(text.OneLine(refusal.Detail))
	}
	if err != nil {
		return nil, err
	}
	defer opened.close()
	return registryItems(ctx, opened, image)
}

// registryItems returns the evidence of each manifest of an image.
func registryItems(ctx context.Context, opened *source, image string) (items []format.Item, err error) {
	named, err := policy.Normalize(image)
	if err != nil {
		return nil, err
	}
	read, err := opened.image(ctx, policy.Question{Reference: image, Config: opened.config})
	if err != nil {
		return nil, err
	}
	for _, evidence := range opened.kept(read.Manifests, named) {
		if evidence.State == policy.Failed {
			return nil, errors.New(text.OneLine(evidence.Detail))
		}
		item := format.Item{Manifest: evidence.Manifest, Repository: named.Name()}
		if evidence.State == policy.Found {
			if item.Files, err = store.ReadFiles(evidence); err != nil {
				return nil, err
			}
		}
		items = append(items, item)
	}
	return items, nil
}

func layoutItems(path string, as reference.Named) (items []format.Item, err error) {
	opened, err := archive.Open(path)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	for found := range opened.Evidence(as) {
		if found.Err != nil {
			return nil, found.Err
		}
		items = append(items, found.Item)
	}
	return items, nil
}
