package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"go.podman.io/image/v5/manifest"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/archive"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/text"
)

// exportFlags are the flags of export.
type exportFlags struct {
	output string
	all    bool
}

func (e *evidenceCommand) newExport() *cobra.Command {
	flags := exportFlags{}
	command := &cobra.Command{
		Use:   "export REFERENCE|DIGEST... -o FILE",
		Short: "Write stored signatures and bundles into a file, for another node",
		Long: `export writes stored signatures and bundles into one file: an OCI image layout (tar) in which
each of them is an artifact whose subject is its image. import reads it on another node; oras, crane
and similar tools read it too. The file does not contain the images.

A name without a tag selects all evidence of its repository. A name with a tag selects the image
that has the tag on this node or, if there is none, in its registry.

The same evidence always produces the same file, byte for byte.`,
		Example: `  countersign evidence export registry.example/app:v1 -o evidence.tar
  countersign evidence export --all -o - | ssh cut-off-node countersign evidence import -`,
		Args: func(_ *cobra.Command, arguments []string) error {
			if flags.all == (len(arguments) > 0) {
				return errors.New("name references or give --all: countersign evidence export REFERENCE... -o FILE")
			}
			if flags.output == "" {
				return errors.New("give the file to write: -o FILE, or -o - for standard output")
			}
			return nil
		},
		RunE: func(command *cobra.Command, arguments []string) error {
			return e.export(command.Context(), arguments, flags.output)
		},
	}
	set := command.Flags()
	set.StringVarP(&flags.output, "output", "o", "", "`file` to write; - is standard output")
	set.BoolVar(&flags.all, "all", false, "all stored evidence")
	return command
}

func (e *evidenceCommand) export(ctx context.Context, arguments []string, output string) error {
	if output == "-" && isTerminal(e.stdout) {
		return errors.New("standard output is a terminal, and the output is a tar file; give -o FILE")
	}
	config, err := e.config()
	if err != nil {
		return err
	}
	stored, err := store.List(config.Evidence.Directory)
	if err != nil {
		return err
	}
	subjects := &subjects{known: map[digest.Digest]ocispec.Descriptor{}}
	defer subjects.close()
	subjects.connect(ctx, config)
	picked, err := pick(ctx, stored, arguments, subjects.remember(fromAnywhere(config)))
	if err != nil {
		return err
	}
	found, damaged := e.exportable(picked)
	if len(found) == 0 {
		return errors.New("nothing was written: no signature and no bundle of these images is stored; " +
			"list what is stored with: countersign evidence list")
	}
	if err := writeFile(output, e.stdout, func(to io.Writer) error {
		return archive.Write(to, itemsOf(found), subjects.of)
	}); err != nil {
		return err
	}
	signatures, bundles, attestations := 0, 0, 0
	for _, stored := range found {
		signatures += stored.Signatures
		bundles += stored.Bundles
		attestations += stored.Attestations
	}
	if output != "-" {
		files := counts(signatures, bundles, attestations)
		fmt.Fprintf(e.stdout, "%s: %s of %s\n", output, files, count(len(found), "manifest"))
	}
	return failures(damaged)
}

// exportable returns the evidence that can be exported, and reports damaged evidence.
func (e *evidenceCommand) exportable(picked []store.Info) (found []store.Info, damaged int) {
	for _, stored := range picked {
		switch {
		case stored.Damage != nil:
			damaged++
			fmt.Fprintf(e.stderr, "countersign: %s is damaged and not exported: %s\n",
				stored.Directory, text.OfError(stored.Damage))
		case stored.State == policy.Found:
			found = append(found, stored)
		}
	}
	return found, damaged
}

func itemsOf(found []store.Info) iter.Seq2[format.Item, error] {
	return func(yield func(format.Item, error) bool) {
		for _, stored := range found {
			if !yield(stored.Item()) {
				return
			}
		}
	}
}

// fromAnywhere finds an image on this node or, if it is not there, in its registry.
func fromAnywhere(config *conf.Config) manifestsFunc {
	return func(ctx context.Context, ref reference.Named) ([]policy.Manifest, error) {
		manifests, here := onNode(ctx, config, ref)
		if here == nil {
			return manifests, nil
		}
		registries := daemon.Registries(config, nil)
		registry := fetch.Registry{Resolve: registries.Resolve, Image: registries.Image}
		manifests, err := registry.Manifests(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("%s; %w", text.OfError(here), err)
		}
		return manifests, nil
	}
}

// subjects are the descriptors of the images' manifests, as far as this node knows them.
type subjects struct {
	known      map[digest.Digest]ocispec.Descriptor
	connection *client.Client
	ask        func(digest.Digest) (ocispec.Descriptor, error)
}

// connect connects to containerd. Without containerd, fewer descriptors are known.
func (s *subjects) connect(ctx context.Context, config *conf.Config) {
	connection, err := containerd.Connect(ctx, config.Containerd.Address, config.Containerd.Namespace)
	if err != nil {
		return
	}
	s.connection = connection
	s.ask = func(of digest.Digest) (ocispec.Descriptor, error) {
		info, err := connection.ContentStore().Info(ctx, of)
		if err != nil || info.Size > maxManifest {
			return ocispec.Descriptor{}, errors.Join(err, daemon.ErrImagesUnknown)
		}
		raw, err := content.ReadBlob(ctx, connection.ContentStore(), ocispec.Descriptor{Digest: of, Size: info.Size})
		if err != nil {
			return ocispec.Descriptor{}, fmt.Errorf("reading %s: %w", of, err)
		}
		return descriptorOf(of, manifest.GuessMIMEType(raw), raw), nil
	}
}

func (s *subjects) close() {
	if s.connection != nil {
		_ = s.connection.Close()
	}
}

// remember returns find, and records the descriptors of the manifests that find returns.
func (s *subjects) remember(find manifestsFunc) manifestsFunc {
	return func(ctx context.Context, ref reference.Named) ([]policy.Manifest, error) {
		found, err := find(ctx, ref)
		for _, m := range found {
			if len(m.Bytes) > 0 {
				s.known[m.Digest] = descriptorOf(m.Digest, m.MediaType, m.Bytes)
			}
		}
		return found, err
	}
}

func descriptorOf(of digest.Digest, mediaType string, raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: of, Size: int64(len(raw))}
}

// of returns the descriptor of an item's manifest, if it is known.
func (s *subjects) of(item format.Item) (ocispec.Descriptor, bool) {
	if known, ok := s.known[item.Manifest]; ok {
		return known, true
	}
	if s.ask == nil {
		return ocispec.Descriptor{}, false
	}
	found, err := s.ask(item.Manifest)
	return found, err == nil && found.MediaType != ""
}

// writeFile writes a file, which exists only once it is complete; "-" is standard output.
func writeFile(path string, stdout io.Writer, write func(io.Writer) error) error {
	if path == "-" {
		return write(stdout)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("writing %s: it is not a regular file; nothing was written", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".countersign-export-")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	err = write(file)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
