package node

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
)

// Pushed is a manifest in a registry.
type Pushed struct {
	// Reference is the reference that was pushed: HOST/REPOSITORY:TAG, or HOST/REPOSITORY@DIGEST.
	Reference string
	// Repository is HOST/REPOSITORY.
	Repository string
	// Digest is the digest of the manifest or index, Config the digest of an image's config; indexes have none.
	Digest, Config digest.Digest
	// Size is the size of the manifest or index in bytes.
	Size int64
}

// ByDigest returns the reference by the manifest's digest.
func (p Pushed) ByDigest() string { return p.Repository + "@" + p.Digest.String() }

// Push uploads an image with its layers as REPOSITORY:TAG or, without a tag, by digest only.
func (r *Registry) Push(ctx context.Context, repositoryAndTag string, image v1.Image) (Pushed, error) {
	config, err := image.ConfigName()
	if err != nil {
		return Pushed{}, fmt.Errorf("pushing %s: %w", repositoryAndTag, err)
	}
	pushed, err := r.push(ctx, repositoryAndTag, image)
	pushed.Config = digest.Digest(config.String())
	return pushed, err
}

// PushIndex uploads an index and everything it lists.
func (r *Registry) PushIndex(ctx context.Context, repositoryAndTag string, index v1.ImageIndex) (Pushed, error) {
	return r.push(ctx, repositoryAndTag, index)
}

// PushManifest uploads bytes as a manifest of a media type, without checking them, and without what they refer to.
func (r *Registry) PushManifest(
	ctx context.Context, repositoryAndTag, mediaType string, contents []byte,
) (Pushed, error) {
	return r.push(ctx, repositoryAndTag, rawManifest{mediaType, contents})
}

// PushBlob uploads bytes as a blob of any size. An index may list a blob as a manifest, but containerd 2.4.2 does not
// fetch it as one.
func (r *Registry) PushBlob(ctx context.Context, repository string, contents []byte) (digest.Digest, error) {
	parsed, err := name.NewRepository(r.Host+"/"+repository, name.Insecure)
	if err != nil {
		return "", fmt.Errorf("pushing a blob: %w", err)
	}
	blob := static.NewLayer(contents, "application/octet-stream")
	if err := remote.WriteLayer(parsed, blob, r.options(ctx)...); err != nil {
		return "", fmt.Errorf("pushing a blob to %s: %w", parsed, err)
	}
	return digest.FromBytes(contents), nil
}

// Tag adds a tag to a manifest of a repository.
func (r *Registry) Tag(ctx context.Context, pushed Pushed, tag string) error {
	reference, err := name.ParseReference(pushed.ByDigest(), name.Insecure)
	if err != nil {
		return fmt.Errorf("tagging %s: %w", pushed.ByDigest(), err)
	}
	found, err := remote.Get(reference, r.options(ctx)...)
	if err != nil {
		return fmt.Errorf("tagging %s: %w", reference, err)
	}
	if err := remote.Tag(reference.Context().Tag(tag), found, r.options(ctx)...); err != nil {
		return fmt.Errorf("tagging %s: %w", reference, err)
	}
	return nil
}

// Manifest downloads the manifest or index behind REPOSITORY:TAG or REPOSITORY@DIGEST, and its digest.
func (r *Registry) Manifest(ctx context.Context, repositoryAndTag string) ([]byte, digest.Digest, error) {
	reference, err := name.ParseReference(r.Host+"/"+repositoryAndTag, name.Insecure)
	if err != nil {
		return nil, "", fmt.Errorf("getting a manifest: %w", err)
	}
	found, err := remote.Get(reference, r.options(ctx)...)
	if err != nil {
		return nil, "", fmt.Errorf("getting a manifest: %w", err)
	}
	return found.Manifest, digest.Digest(found.Digest.String()), nil
}

// Blob downloads a blob of a repository.
func (r *Registry) Blob(ctx context.Context, repository string, blob digest.Digest) ([]byte, error) {
	reference, err := name.NewDigest(r.Host+"/"+repository+"@"+blob.String(), name.Insecure)
	if err != nil {
		return nil, fmt.Errorf("getting a blob: %w", err)
	}
	layer, err := remote.Layer(reference, r.options(ctx)...)
	if err != nil {
		return nil, fmt.Errorf("getting blob %s: %w", reference, err)
	}
	contents, err := layer.Compressed()
	if err != nil {
		return nil, fmt.Errorf("getting blob %s: %w", reference, err)
	}
	defer contents.Close()
	return io.ReadAll(contents)
}

// Delete removes a tag, or a manifest by its digest.
func (r *Registry) Delete(ctx context.Context, repositoryAndTag string) error {
	reference, err := name.ParseReference(r.Host+"/"+repositoryAndTag, name.Insecure)
	if err != nil {
		return fmt.Errorf("deleting a manifest: %w", err)
	}
	if err := remote.Delete(reference, r.options(ctx)...); err != nil {
		return fmt.Errorf("deleting %s: %w", reference, err)
	}
	return nil
}

func (r *Registry) push(ctx context.Context, repositoryAndTag string, what remote.Taggable) (Pushed, error) {
	reference, err := r.destination(repositoryAndTag, what)
	if err != nil {
		return Pushed{}, fmt.Errorf("pushing %s: %w", repositoryAndTag, err)
	}
	switch typed := what.(type) {
	case v1.Image:
		err = remote.Write(reference, typed, r.options(ctx)...)
	case v1.ImageIndex:
		err = remote.WriteIndex(reference, typed, r.options(ctx)...)
	default:
		err = remote.Put(reference, what, r.options(ctx)...)
	}
	if err != nil {
		return Pushed{}, fmt.Errorf("pushing %s: %w", reference, err)
	}
	contents, err := what.RawManifest()
	if err != nil {
		return Pushed{}, fmt.Errorf("pushing %s: %w", reference, err)
	}
	return Pushed{
		Reference: reference.Name(), Repository: reference.Context().Name(), Digest: digest.FromBytes(contents),
		Size: int64(len(contents)),
	}, nil
}

// destination completes REPOSITORY[:TAG]: without a tag, it adds the digest.
func (r *Registry) destination(repositoryAndTag string, what remote.Taggable) (name.Reference, error) {
	full := r.Host + "/" + repositoryAndTag
	if tag, err := name.NewTag(full, name.StrictValidation, name.Insecure); err == nil {
		return tag, nil
	}
	contents, err := what.RawManifest()
	if err != nil {
		return nil, err
	}
	return name.NewDigest(full+"@"+digest.FromBytes(contents).String(), name.Insecure)
}

func (r *Registry) options(ctx context.Context) []remote.Option {
	options := []remote.Option{remote.WithContext(ctx)}
	if r.access.client != nil {
		options = append(options, remote.WithTransport(r.access.client))
	}
	if r.config.Username == "" {
		return options
	}
	return append(options, remote.WithAuth(&authn.Basic{Username: r.config.Username, Password: r.config.Password}))
}

// rawManifest is a manifest of arbitrary bytes.
type rawManifest struct {
	mediaType string
	contents  []byte
}

// RawManifest returns the bytes.
func (m rawManifest) RawManifest() ([]byte, error) { return bytes.Clone(m.contents), nil }

// MediaType returns the media type.
func (m rawManifest) MediaType() (types.MediaType, error) { return types.MediaType(m.mediaType), nil }
