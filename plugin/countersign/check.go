package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/text"
)

// checkFlags are the flags of check.
type checkFlags struct {
	policyFlags

	image, output string
	timeout       time.Duration
	// fetch is how signatures are fetched, if they are read from a registry.
	fetch registryFetch
	// all is set to check every running container.
	all bool
}

func newCheckCommand(stdout io.Writer) *cobra.Command {
	flags := checkFlags{}
	command := &cobra.Command{
		Use:   "check [flags] REFERENCE",
		Short: "Report whether an image would be admitted in a namespace, and why not",
		Long: `check reports whether a pod of the namespace with image REFERENCE would be admitted on this node.

For an image on this node, check asks the running daemon, and also evaluates the policy files on
disk. For any other image, or with other policies, check decides as the daemon does, from the same
files. --image selects where the image and its signatures are:

  --image containerd      on this node, with the signatures stored here (the default)
  --image registry        in the image's registry; nothing is stored on the node
  --image oci:PATH[:TAG]  in an OCI image layout, as a directory or a tar file, with signatures and
                          bundles as artifacts (cosign save --dir PATH REFERENCE)
  --image dir:PATH        in a directory that skopeo or podman wrote, without Sigstore bundles
                          (skopeo copy docker://REFERENCE dir:PATH)

REFERENCE is the name under which the image is evaluated. The namespace's mode (enforce or audit)
is reported, not applied.

With --all instead of REFERENCE, check evaluates every running container of this node.

Exit status: 0 admitted; 1 denied; 2 unknown.`,
		Example: `  countersign check --namespace prod registry.example/app:v1
  countersign check -n prod --policy-dir ./policies --system-policy ./policy.json \
      --image dir:/tmp/app registry.example/app:v1
  countersign check -n prod --image registry registry.example/app:v1
  countersign check -n prod -o json registry.example/app:v1 | jq -r .reason
  countersign check --all`,
		Args: func(command *cobra.Command, args []string) error {
			if flags.all {
				return nothingBesideAll(command, args)
			}
			return exactlyOneReference(command, args)
		},
		RunE: func(command *cobra.Command, args []string) error {
			if flags.all {
				return checkAll(command.Context(), flags, stdout)
			}
			flags.fetch.progress = func(read, of int) {
				fmt.Fprintf(command.ErrOrStderr(), "countersign: %s: %s\n", text.OneLine(args[0]), referrersRead(read, of))
			}
			return check(command.Context(), flags, args[0], stdout)
		},
	}
	flags.add(command)
	set := command.Flags()
	set.StringVar(&flags.image, "image", "containerd",
		"where the image is: containerd, dir:PATH, oci:PATH[:TAG] or registry")
	set.BoolVar(&flags.all, "all", false, "check every running container of this node")
	set.DurationVar(&flags.timeout, "timeout", fetchTimeout, "how long --image registry may take")
	set.StringVarP(&flags.output, "output", "o", "text", "text or json")
	return command
}

func exactlyOneReference(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("check takes one image reference, not %d: countersign check [flags] REFERENCE", len(args))
	}
	return nil
}

// check decides as the daemon would.
func check(ctx context.Context, flags checkFlags, ref string, stdout io.Writer) error {
	if err := checkOutput(flags.output); err != nil {
		return err
	}
	if err := checkImage(flags.image); err != nil {
		return err
	}
	if flags.timeout <= 0 {
		return fmt.Errorf("--timeout %s is not a positive duration", flags.timeout)
	}
	config, err := flags.read()
	if err != nil {
		return err
	}
	result := checkResult{
		Mode: config.Mode(flags.namespace).String(), Namespace: flags.namespace, Reference: ref, image: flags.image,
	}
	made := checkVerdict(ctx, config, flags, ref)
	result.set(daemon.VerdictOf(made.verdict), made.advice)
	result.FoundBy, result.Signers = made.foundBy, made.signers
	if flags.usesDaemon() && made.config != "" {
		question := policy.Question{Namespace: flags.namespace, Reference: ref, Config: made.config}
		result.setDaemon(askDaemon(ctx, config, question))
	}
	if err := result.write(stdout, flags.output); err != nil {
		return fmt.Errorf("writing the verdict: %w", err)
	}
	if code := exitStatus(policy.Reason(result.Reason)); code != exitAdmitted {
		return &exitError{code}
	}
	return nil
}

// checkImage returns an error unless the value of --image is valid.
func checkImage(image string) error {
	kind, path, carried := strings.Cut(image, ":")
	switch {
	case image == "containerd", image == "registry":
		return nil
	case carried && path != "" && (kind == "dir" || kind == "oci"):
		return nil
	default:
		return fmt.Errorf("--image %q is not containerd, registry, dir:PATH or oci:PATH[:TAG]", image)
	}
}

// decided is a verdict, with advice for a denial, the config digest of the image if it was found, and how images are
// identified on this node, if the image is there.
type decided struct {
	verdict policy.Verdict
	advice  string
	config  digest.Digest
	foundBy policy.FoundBy
	// signers are who made the signatures that are accepted.
	signers []string
}

// checkVerdict decides by the files on disk.
func checkVerdict(ctx context.Context, config *conf.Config, flags checkFlags, ref string) (made decided) {
	if !policy.ValidNamespace(flags.namespace) {
		return decided{verdict: policy.Denial(
			policy.Refuse(policy.BadRequest, "namespace %q is not a DNS label", flags.namespace))}
	}
	kinds := daemon.RequirementKinds(nil)
	where := daemon.Documents(config, kinds)
	where.Parse = below(flags.root, where.Parse)
	documents := files.Open(where)
	flags.fetch.predicates = documents.Current().Predicates
	source, err := openSource(ctx, config, flags, ref)
	if err != nil {
		return decided{verdict: policy.Denial(err)}
	}
	defer source.close()
	decider, err := policy.NewDecider(policy.Sources{
		Documents:  documents.Current,
		Image:      source.image,
		Lookup:     source.kept,
		Kinds:      kinds,
		NoIdentity: func(namespace string) bool { return config.Identity(namespace) == conf.IdentityDigest },
	})
	if err != nil {
		return decided{verdict: policy.Denial(err)}
	}
	question := policy.Question{Namespace: flags.namespace, Reference: ref, Config: source.config}
	decide := decider.Decide
	if source.foundBy == policy.FoundByLayers {
		decide = func(ctx context.Context, q policy.Question) policy.Verdict {
			return daemon.DecideAlike(ctx, q, source.alike, decider.Decide)
		}
	}
	verdict := decide(ctx, question)
	return decided{
		verdict, decider.Advice(verdict), source.config, source.foundBy,
		daemon.Signers(ctx, decider, kinds, question),
	}
}

// source is the image that check evaluates, with its signatures.
type source struct {
	config digest.Digest
	image  policy.ImageFunc
	kept   policy.LookupFunc
	close  func()
	// foundBy is how the images of this node's containers are identified, and alike returns those that a container of the
	// image could run for all that its layers tell. They are set if the image is on this node.
	foundBy policy.FoundBy
	alike   func(context.Context, policy.Question) ([]digest.Digest, error)
}

func openSource(ctx context.Context, config *conf.Config, flags checkFlags, ref string) (*source, error) {
	kind, path, _ := strings.Cut(flags.image, ":")
	switch kind {
	case "registry":
		ctx, cancel := context.WithTimeout(ctx, flags.timeout)
		defer cancel()
		return openRegistry(ctx, config, ref, flags.fetch)
	case "dir":
		return openDirectory(path, ref)
	case "oci":
		return openLayout(path, ref)
	default:
		return openContainerd(ctx, config, ref)
	}
}

func exitStatus(reason policy.Reason) int {
	switch reason {
	case policy.Accepted:
		return exitAdmitted
	case policy.Rejected, policy.Unsigned, policy.UnknownOrigin:
		return exitDenied
	default:
		return exitUnknown
	}
}
