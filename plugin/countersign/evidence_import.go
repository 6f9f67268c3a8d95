package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/distribution/reference"
	"github.com/spf13/cobra"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/archive"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/text"
)

func (e *evidenceCommand) newImport() *cobra.Command {
	var as string
	command := &cobra.Command{
		Use:   "import SOURCE...",
		Short: "Add signatures and bundles from files to the stored ones",
		Long: `import adds signatures and bundles from files to the evidence that this node stores, and removes
none. Each decision verifies imported evidence like fetched evidence, so the files need not be
trusted. Imported evidence is stored until its image has been on this node and has left it.

A SOURCE is a file that export wrote, or the same layout as a directory; "-" for standard input;
the output of cosign save --dir PATH; or dir:PATH, a directory that skopeo copy wrote. The last two
do not contain the repository in which the image was signed: give --as REFERENCE, the name that
pods use.`,
		Example: `  countersign evidence import evidence.tar
  countersign evidence import --as registry.example/app:v1 dir:/mnt/app
  cosign save --dir /mnt/app registry.example/app:v1
  countersign evidence import --as registry.example/app:v1 /mnt/app`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if len(arguments) == 0 {
				return errors.New("name what to import, as in: countersign evidence import evidence.tar")
			}
			return nil
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			return e.importAll(command.Context(), arguments, as)
		},
	}
	command.Flags().StringVar(&as, "as", "", "`reference` whose repository the images were signed in")
	return command
}

func (e *evidenceCommand) importAll(ctx context.Context, sources []string, as string) error {
	var named reference.Named
	if as != "" {
		var err error
		if named, err = policy.Normalize(as); err != nil {
			return err
		}
	}
	service, err := e.service(ctx)
	if err != nil {
		return err
	}
	defer service.close()
	failed := 0
	for _, source := range sources {
		// A problem in one part of a source does not prevent the import of the rest.
		failed += e.importSource(ctx, service, source, named)
	}
	return failures(failed)
}

// importSource imports one source, prints the result, and returns the number of failures.
func (e *evidenceCommand) importSource(
	ctx context.Context, service *evidenceService, source string, as reference.Named,
) (failed int) {
	fail := func(err error) {
		failed++
		fmt.Fprintf(e.stderr, "countersign: importing %s: %s\n", source, text.OfError(err))
	}
	done := imported{}
	err := eachFound(source, as, func(found archive.Found) {
		if found.Err == nil && len(found.Files) > 0 {
			var added int
			added, found.Err = service.importItem(ctx, found.Item)
			done.added += added
		}
		if found.Err != nil {
			fail(found.Err)
			return
		}
		done.count(found)
	})
	if err != nil {
		fail(err)
		return failed
	}
	if done.manifests == 0 && failed == 0 {
		fail(errors.New("it contains no signature and no bundle"))
		return failed
	}
	fmt.Fprintf(e.stdout, "%s: %s\n", source, done)
	return failed
}

// imported counts what was imported from one source.
type imported struct{ manifests, signatures, bundles, added, attestations int }

func (i *imported) count(found archive.Found) {
	if len(found.Files) == 0 {
		return
	}
	i.manifests++
	i.signatures += found.Count(format.KindSignature)
	i.bundles += found.Count(format.KindBundle)
	i.attestations += found.Count(format.KindAttestation)
}

// String formats the counts in one line.
func (i imported) String() string {
	return fmt.Sprintf("%s of %s, %d of them new", counts(i.signatures, i.bundles, i.attestations),
		count(i.manifests, "manifest"), i.added)
}

// counts formats the numbers of files of each kind. Most images have no attestation that is stored.
func counts(signatures, bundles, attestations int) string {
	if attestations == 0 {
		return fmt.Sprintf("%s and %s", count(signatures, "signature"), count(bundles, "bundle"))
	}
	return fmt.Sprintf("%s, %s and %s", count(signatures, "signature"), count(bundles, "bundle"),
		count(attestations, "attestation"))
}

// eachFound calls take with everything in a source. It returns an error if the source as a whole cannot be read.
func eachFound(source string, as reference.Named, take func(archive.Found)) error {
	if path, ok := strings.CutPrefix(source, "dir:"); ok {
		return eachInDirectory(path, as, take)
	}
	path := source
	if source == "-" {
		copied, err := copyInput(os.Stdin)
		if err != nil {
			return err
		}
		defer os.Remove(copied)
		path = copied
	}
	opened, err := archive.Open(path)
	if err != nil && archive.IsDirectory(path) {
		return fmt.Errorf("%s looks like a directory that skopeo wrote: use dir:%s", path, path)
	}
	if err != nil {
		return err
	}
	defer opened.Close()
	for found := range opened.Evidence(as) {
		if found.Err != nil && found.Repository == "" && as == nil && found.Manifest != "" {
			return fmt.Errorf("the repository in which %s was signed is unknown: give --as REFERENCE", found.Manifest)
		}
		take(found)
	}
	return nil
}

func eachInDirectory(path string, as reference.Named, take func(archive.Found)) error {
	if as == nil {
		return errors.New("the repository in which the image was signed is unknown: give --as REFERENCE")
	}
	items, err := archive.Directory(path, as)
	if err != nil {
		return err
	}
	for _, item := range items {
		take(archive.Found{Item: item})
	}
	return nil
}

// maxInput limits what is read from standard input, in bytes. It is more than the default limit of a store.
const maxInput = 4 << 30

// copyInput copies standard input, which cannot be read twice, into a file and returns its path.
func copyInput(from io.Reader) (path string, err error) {
	file, err := os.CreateTemp("", "countersign-import-")
	if err != nil {
		return "", fmt.Errorf("reading standard input: %w", err)
	}
	copied, err := io.Copy(file, io.LimitReader(from, maxInput+1))
	if err == nil && copied > maxInput {
		err = fmt.Errorf("it is larger than %d bytes", int64(maxInput))
	}
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(file.Name())
		return "", fmt.Errorf("reading standard input: %w", err)
	}
	return file.Name(), nil
}
