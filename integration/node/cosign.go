package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Key is a key pair of cosign, by the paths of its files. The password is empty.
type Key struct{ Private, Public string }

// GenerateKey makes a key pair in a directory: NAME.key and NAME.pub.
func (t *Tools) GenerateKey(ctx context.Context, directory, name string) (Key, error) {
	prefix := filepath.Join(directory, name)
	_, err := t.Cosign(ctx, nil, "generate-key-pair", "--output-key-prefix", prefix)
	return Key{Private: prefix + ".key", Public: prefix + ".pub"}, err
}

// Signing defines what to sign and how. Its zero values are cosign's defaults, except that there is no transparency
// log, which tests cannot reach.
type Signing struct {
	// Image is the image to sign. It is signed by digest, so exactly that manifest or index is signed.
	Image Pushed
	Key   Key
	// OldFormat attaches a simple signing payload under the tag sha256-<hex>.sig, instead of a bundle as a referrer.
	OldFormat bool
	// Referrer attaches the simple signing payload of the old format as an OCI 1.1 referrer instead
	// (--registry-referrers-mode=oci-1-1, with artifact type application/vnd.dev.cosign.artifact.sig.v1+json). Such
	// signatures are on Docker's hardened images.
	Referrer bool
	// Annotations are added to the signed statement (-a).
	Annotations map[string]string
	// Recursive also signs everything that an index lists.
	Recursive bool
	// Identity, if set, is the docker-reference in a signature of the old format; the default is the repository
	// (--sign-container-identity).
	Identity string
	// Repository, if set, is where the signature is attached instead of the image's repository (COSIGN_REPOSITORY).
	Repository string
	// DockerConfig, if set, is a config.json with credentials: see [Registry.DockerConfig].
	DockerConfig []byte
}

// Sign signs an image with cosign, and attaches the signature in the image's repository.
func (t *Tools) Sign(ctx context.Context, signing Signing) error {
	var environment []string
	arguments := []string{
		"sign", "--key", signing.Key.Private, "--tlog-upload=false", "--use-signing-config=false",
		"--allow-insecure-registry", "--allow-http-registry", "-y",
		fmt.Sprintf("--new-bundle-format=%t", !signing.OldFormat && !signing.Referrer),
		fmt.Sprintf("--recursive=%t", signing.Recursive),
	}
	if signing.Referrer {
		// cosign accepts this only with the variable.
		arguments = append(arguments, "--registry-referrers-mode=oci-1-1")
		environment = append(environment, "COSIGN_EXPERIMENTAL=1")
	}
	if signing.Repository != "" {
		environment = append(environment, "COSIGN_REPOSITORY="+signing.Repository)
	}
	if signing.Identity != "" {
		arguments = append(arguments, "--sign-container-identity", signing.Identity)
	}
	for key, value := range signing.Annotations {
		arguments = append(arguments, "-a", key+"="+value)
	}
	_, err := t.cosign(ctx, signing.DockerConfig, environment, append(arguments, signing.Image.ByDigest())...)
	return err
}

// Save runs cosign save, which writes an image with its signatures to a directory as an OCI layout.
func (t *Tools) Save(ctx context.Context, image Pushed, directory string, dockerConfig []byte) error {
	_, err := t.Cosign(ctx, dockerConfig, "save", "--allow-insecure-registry", "--allow-http-registry",
		"--dir", directory, image.ByDigest())
	return err
}

// ReferrersTag is the tag under which the referrers of a manifest are listed in a registry without the referrers API:
// OCI distribution specification 1.1, referrers tag schema.
func ReferrersTag(manifest digest.Digest) string {
	return manifest.Algorithm().String() + "-" + manifest.Encoded()
}

// SignatureTag is the tag under which cosign's old format attaches signatures to a manifest.
func SignatureTag(manifest digest.Digest) string {
	return manifest.Algorithm().String() + "-" + manifest.Encoded() + ".sig"
}

// Cosign runs cosign without the user's home and settings, and returns its standard output.
func (t *Tools) Cosign(ctx context.Context, dockerConfig []byte, arguments ...string) (string, error) {
	return t.cosign(ctx, dockerConfig, nil, arguments...)
}

// cosign is Cosign with variables in addition to the environment.
func (t *Tools) cosign(
	ctx context.Context, dockerConfig []byte, environment []string, arguments ...string,
) (string, error) {
	home, err := os.MkdirTemp("", "cosign-")
	if err != nil {
		return "", fmt.Errorf("running cosign: %w", err)
	}
	defer os.RemoveAll(home)
	if dockerConfig != nil {
		if err := replace(filepath.Join(home, "config.json"), dockerConfig); err != nil {
			return "", fmt.Errorf("running cosign: %w", err)
		}
	}
	command := exec.CommandContext(ctx, t.Path("cosign"), arguments...)
	command.Dir = home
	inherited := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "COSIGN_") || strings.HasPrefix(variable, "SIGSTORE_")
	})
	command.Env = append(inherited, "HOME="+home, "DOCKER_CONFIG="+home, "COSIGN_PASSWORD=")
	command.Env = append(command.Env, environment...)
	return runCommand(command)
}
