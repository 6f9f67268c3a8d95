package doctor

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// blob is a part of an image.
type blob struct {
	ocispec.Descriptor
	contents []byte
	labels   map[string]string
}

func newBlob(mediaType string, contents []byte) blob {
	return blob{
		Descriptor: ocispec.Descriptor{
			MediaType: mediaType, Digest: digest.FromBytes(contents), Size: int64(len(contents)),
		},
		contents: contents,
	}
}

// canaryImage returns an image whose only program ends at once. Its parts are a layer, a config and a manifest. Each
// call returns another config, so that no image of somebody else has the same ID.
func canaryImage() (parts []blob, err error) {
	layer, err := canaryLayer()
	if err != nil {
		return nil, err
	}
	config := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Entrypoint: []string{"/exit"}, Labels: map[string]string{"run": rand.Text()}},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}},
	}
	rawConfig, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	configBlob := newBlob(ocispec.MediaTypeImageConfig, rawConfig)
	rawManifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: configBlob.Descriptor, Layers: []ocispec.Descriptor{layer.Descriptor},
	})
	if err != nil {
		return nil, err
	}
	manifest := newBlob(ocispec.MediaTypeImageManifest, rawManifest)
	// containerd's garbage collector follows these labels (containerd v2.4.2, docs/garbage-collection.md).
	manifest.labels = map[string]string{
		"containerd.io/gc.ref.content.config": configBlob.Digest.String(),
		"containerd.io/gc.ref.content.l.0":    layer.Digest.String(),
	}
	return []blob{layer, configBlob, manifest}, nil
}

func canaryLayer() (blob, error) {
	var archive bytes.Buffer
	program := exitProgram(runtime.GOARCH)
	if program == nil {
		return blob{}, fmt.Errorf("there is no program for %s", runtime.GOARCH)
	}
	writer := tar.NewWriter(&archive)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: "exit", Mode: 0o755, Size: int64(len(program))}
	if err := writer.WriteHeader(header); err != nil {
		return blob{}, err
	}
	if _, err := writer.Write(program); err != nil {
		return blob{}, err
	}
	if err := writer.Close(); err != nil {
		return blob{}, err
	}
	return newBlob(ocispec.MediaTypeImageLayer, archive.Bytes()), nil
}

// exitProgram returns a program that calls exit(0), and nothing for other architectures.
func exitProgram(architecture string) []byte {
	var machine elf.Machine
	var code []byte
	switch architecture {
	case "amd64":
		machine, code = elf.EM_X86_64, []byte{
			0x31, 0xff, // xor edi, edi
			0xb8, 0x3c, 0, 0, 0, // mov eax, 60
			0x0f, 0x05, // syscall
		}
	case "arm64":
		machine, code = elf.EM_AARCH64, []byte{
			0x00, 0x00, 0x80, 0xd2, // mov x0, #0
			0xa8, 0x0b, 0x80, 0xd2, // mov x8, #93
			0x01, 0x00, 0x00, 0xd4, // svc #0
		}
	default:
		return nil
	}
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(code))
	header := elf.Header64{
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Entry: base + headers,
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	segment := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size,
		Align: 0x1000,
	}
	var program bytes.Buffer
	// Writing to a buffer does not fail.
	_ = binary.Write(&program, binary.LittleEndian, header)
	_ = binary.Write(&program, binary.LittleEndian, segment)
	program.Write(code)
	return program.Bytes()
}

// The lease of the parts of an image that has no name yet. If this process is killed, containerd keeps them until the
// lease expires or the next run removes it.
const (
	imageLease        = "countersign-canary"
	imageLeaseExpires = 10 * time.Minute
)

// removeLease removes the lease that a killed process has left.
func removeLease(ctx context.Context, containerd *client.Client) error {
	err := containerd.LeasesService().Delete(ctx, leases.Lease{ID: imageLease})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("removing lease %s: %w", imageLease, err)
	}
	return nil
}

// importImage stores an image in containerd under names, and returns the digest of its config.
func importImage(ctx context.Context, containerd *client.Client, names []string) (digest.Digest, error) {
	parts, err := canaryImage()
	if err != nil {
		return "", fmt.Errorf("making an image: %w", err)
	}
	ctx, done, err := containerd.WithLease(ctx, leases.WithID(imageLease), leases.WithExpiration(imageLeaseExpires))
	if err != nil {
		return "", fmt.Errorf("creating a lease: %w", err)
	}
	defer func() { _ = done(context.WithoutCancel(ctx)) }() // What it fails to remove, removeLease does.
	for _, part := range parts {
		reader := bytes.NewReader(part.contents)
		err := content.WriteBlob(ctx, containerd.ContentStore(), part.Digest.String(), reader, part.Descriptor,
			content.WithLabels(part.labels))
		if err != nil {
			return "", fmt.Errorf("storing the image: %w", err)
		}
	}
	for _, name := range names {
		target := parts[len(parts)-1].Descriptor
		if _, err := containerd.ImageService().Create(ctx, images.Image{Name: name, Target: target}); err != nil {
			return "", fmt.Errorf("storing image %s: %w", name, err)
		}
	}
	return parts[1].Digest, nil
}
