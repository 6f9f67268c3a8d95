package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// shop is a registry with images, and the key that has signed some of them in its repositories.
type shop struct {
	t    testing.TB
	host string
	old  func(repository string, of digest.Digest) signaturetest.Signature
	new  *bundletest.Key

	mu sync.Mutex
	// asked are the paths that were asked for.
	asked []string
}

// record returns a handler that records requests.
func (s *shop) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.Path)
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

// take returns the paths that were asked for since it was last called.
func (s *shop) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func newShop(t testing.TB) *shop {
	t.Helper()
	silent := slog.NewLogLogger(slog.DiscardHandler, 0)
	key := signaturetest.NewKey(t)
	s := &shop{t: t, new: bundletest.KeyOf(t, key)}
	server := httptest.NewServer(s.record(registry.New(registry.Logger(silent), registry.WithReferrersSupport(true))))
	server.Config.ErrorLog = silent
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	s.old = func(repository string, of digest.Digest) signaturetest.Signature {
		return signaturetest.Sign(t, key, repository, of)
	}
	return s
}

// image returns a unique image for this machine's platform.
func (s *shop) image(content string) v1.Image {
	s.t.Helper()
	image, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{
		Architecture: "amd64", OS: "linux", Config: v1.Config{Labels: map[string]string{"content": content}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	image = mutate.MediaType(image, types.OCIManifestSchema1)
	return mutate.ConfigMediaType(image, types.OCIConfigJSON)
}

func (s *shop) digest(image partial.WithRawManifest) digest.Digest {
	s.t.Helper()
	raw, err := image.RawManifest()
	if err != nil {
		s.t.Fatal(err)
	}
	return digest.FromBytes(raw)
}

func (s *shop) repository() string { return s.host + "/app" }

// push pushes an image, or an artifact that is attached to one, under a tag.
func (s *shop) push(tag string, image v1.Image) {
	s.t.Helper()
	ref, err := name.NewTag(s.repository()+":"+tag, name.Insecure)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		s.t.Fatal(err)
	}
}

// signatures returns the image that cosign attaches under the tag sha256-<hex>.sig.
func (s *shop) signatures(signatures ...signaturetest.Signature) v1.Image {
	s.t.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, signature := range signatures {
		var err error
		image, err = mutate.Append(image, mutate.Addendum{
			Layer: static.NewLayer(signature.Payload, types.MediaType(signature.MediaType)), Annotations: signature.Annotations,
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return image
}

// bundle returns the artifact that cosign 3 attaches to an image as a referrer.
func (s *shop) bundle(to v1.Image, name string) v1.Image {
	s.t.Helper()
	raw := bundletest.Sign(s.t, s.new, s.digest(to), name).JSON(s.t)
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), bundletest.MediaType)
	image, err := mutate.AppendLayers(image, static.NewLayer(raw, bundletest.MediaType))
	if err != nil {
		s.t.Fatal(err)
	}
	subject, err := partial.Descriptor(to)
	if err != nil {
		s.t.Fatal(err)
	}
	described, ok := mutate.Annotations(image, map[string]string{
		"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": bundletest.PredicateType,
	}).(v1.Image)
	if !ok {
		s.t.Fatal("an image with annotations is not an image")
	}
	attached, ok := mutate.Subject(described, *subject).(v1.Image)
	if !ok {
		s.t.Fatal("an image with a subject is not an image")
	}
	return attached
}

// stock pushes images: app:v1 signed in both formats, app:nameless signed with a bundle that names no repository, and
// app:unsigned.
func (s *shop) stock() (signed v1.Image) {
	s.t.Helper()
	signed = s.image("signed")
	s.push("v1", signed)
	of := s.digest(signed)
	tag := strings.Replace(of.String(), ":", "-", 1) + ".sig"
	s.push(tag, s.signatures(s.old(s.repository(), of)))
	s.push("bundle", s.bundle(signed, s.repository()))
	nameless := s.image("nameless")
	s.push("nameless", nameless)
	s.push("nameless-bundle", s.bundle(nameless, ""))
	s.push("unsigned", s.image("unsigned"))
	return signed
}

// carry writes the image to files: into an OCI image layout with bundles, and in the format of skopeo's dir: transport.
func (s *shop) carry(directory string, image v1.Image) error {
	of := s.digest(image)
	path, err := ggcr.Write(filepath.Join(directory, "layout"), empty.Index)
	if err != nil {
		return err
	}
	tagged := ggcr.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "v1"})
	other := ggcr.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "other"})
	raw, err := image.RawManifest()
	return errors.Join(err,
		path.AppendImage(image, tagged), path.AppendImage(s.bundle(image, s.repository())),
		path.AppendImage(s.image("other"), other),
		os.Mkdir(filepath.Join(directory, "dir"), 0o700),
		os.WriteFile(filepath.Join(directory, "dir/manifest.json"), raw, 0o600),
		os.WriteFile(filepath.Join(directory, "dir/signature-1"),
			s.old(s.repository(), of).File(s.t), 0o600))
}

// policy writes a policy that requires a signature by the key, in the image's repository.
func (s *shop) policy(directory string) error {
	raw, err := json.Marshal(map[string]any{"default": []any{s.new.Requirement(s.t)}})
	return errors.Join(err, os.WriteFile(filepath.Join(directory, "policy.json"), raw, 0o600),
		os.WriteFile(filepath.Join(directory, "shop.pub"), s.new.PEM(s.t), 0o600),
		os.Mkdir(filepath.Join(directory, "policies"), 0o700))
}

// TestEvidenceScripts runs the subcommands of evidence, and check, with a registry.
func TestEvidenceScripts(t *testing.T) {
	saved, err := filepath.Abs("../../policy/evidence/archive/testdata")
	if err != nil {
		t.Fatal(err)
	}
	fixtures, err := filepath.Abs(fixtureDirectory)
	if err != nil {
		t.Fatal(err)
	}
	shop := newShop(t)
	signed := shop.stock()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/evidence",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("SAVED", saved)
			env.Setenv("FIXTURES", fixtures)
			env.Setenv("HOST", shop.host)
			env.Setenv("DIGEST", shop.digest(signed).String())
			env.Setenv("HEX", shop.digest(signed).Encoded())
			return errors.Join(
				writeConfig(env.WorkDir, "node.toml", "deny"),
				writeOther(env.WorkDir), shop.policy(env.WorkDir), shop.carry(env.WorkDir, signed),
			)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await},
	})
}

// writeOther writes the configuration of a second node, and one with another socket but the same evidence.
func writeOther(directory string) error {
	raw, err := os.ReadFile(filepath.Join(directory, "node.toml"))
	if err != nil {
		return fmt.Errorf("writing another configuration: %w", err)
	}
	other := strings.ReplaceAll(string(raw), directory+"/evidence", directory+"/other")
	moved := strings.ReplaceAll(string(raw), "/run/s", "/moved")
	return errors.Join(
		os.WriteFile(filepath.Join(directory, "other.toml"),
			[]byte(strings.ReplaceAll(other, "/run/s", "/other.sock")), 0o600),
		os.WriteFile(filepath.Join(directory, "moved.toml"), []byte(moved), 0o600),
	)
}
