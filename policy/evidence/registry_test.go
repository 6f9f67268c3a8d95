package evidence_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
	memory "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

const (
	simpleSigning       = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
)

// testRegistry is a real registry at loopback, whose answers a test can spoil.
type testRegistry struct {
	server *httptest.Server
	host   string

	mu       sync.Mutex
	spoil    func(http.Handler) http.Handler
	requests []string
}

func newRegistry(t testing.TB, options ...memory.Option) *testRegistry {
	t.Helper()
	silent := slog.NewLogLogger(slog.DiscardHandler, 0)
	r := &testRegistry{}
	backend := memory.New(append(options, memory.Logger(silent))...)
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, request.Method+" "+request.URL.Path)
		handler := backend
		if r.spoil != nil {
			handler = r.spoil(backend)
		}
		r.mu.Unlock()
		handler.ServeHTTP(w, request)
	}))
	r.server.Config.ErrorLog = silent
	t.Cleanup(r.server.Close)
	r.host = strings.TrimPrefix(r.server.URL, "http://")
	return r
}

// spoilBy puts something between the registry and its clients; nil: nothing.
func (r *testRegistry) spoilBy(spoil func(http.Handler) http.Handler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spoil = spoil
}

// asked returns the requests since it was last called.
func (r *testRegistry) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.requests
	r.requests = nil
	return asked
}

// signature is what cosign puts into a layer: a payload, and the signature of it as an annotation.
type signature struct{ payload, mediaType, signed string }

func signed(i int) signature {
	payload := fmt.Sprintf(`{"critical":{"identity":{"docker-reference":"x"},"type":"cosign"},"optional":{"n":%d}}`, i)
	return signature{payload: payload, mediaType: simpleSigning, signed: fmt.Sprintf("MEUC%d==", i)}
}

// file returns the file in which a signature is stored.
func (s signature) file(t testing.TB) []byte {
	t.Helper()
	content, err := format.SignatureFile(s.mediaType, []byte(s.payload), s.annotations())
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func (s signature) annotations() map[string]string {
	return map[string]string{signatureAnnotation: s.signed}
}

// sign puts signatures under the tag of a manifest, in place of those that were there.
func (r *testRegistry) sign(t testing.TB, repository string, manifest digest.Digest, signatures ...signature) {
	t.Helper()
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, s := range signatures {
		var err error
		image, err = mutate.Append(image, mutate.Addendum{
			Layer:       static.NewLayer([]byte(s.payload), types.MediaType(s.mediaType)),
			MediaType:   types.MediaType(s.mediaType),
			Annotations: s.annotations(),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := remote.Write(r.tag(t, repository, manifest), image); err != nil {
		t.Fatal(err)
	}
}

// unsign removes the tag of a manifest's signatures.
func (r *testRegistry) unsign(t testing.TB, repository string, manifest digest.Digest) {
	t.Helper()
	if err := remote.Delete(r.tag(t, repository, manifest)); err != nil {
		t.Fatal(err)
	}
}

func (r *testRegistry) tag(t testing.TB, repository string, manifest digest.Digest) name.Tag {
	t.Helper()
	text := fmt.Sprintf("%s/%s:%s.sig", r.host, repository, strings.ReplaceAll(manifest.String(), ":", "-"))
	tag, err := name.NewTag(text, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// named returns a repository of the registry by its address.
func (r *testRegistry) named(t testing.TB, repository string) reference.Named {
	t.Helper()
	return parse(t, r.host+"/"+repository+":v1")
}

func parse(t testing.TB, s string) reference.Named {
	t.Helper()
	named, err := policy.Normalize(s)
	if err != nil {
		t.Fatal(err)
	}
	return named
}

// hostsFor writes a hosts.toml for a name, and returns the directory for Config.HostsDirectory.
func hostsFor(t testing.TB, host, content string) string {
	t.Helper()
	directory := t.TempDir()
	write(t, filepath.Join(directory, host, "hosts.toml"), content)
	return directory
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// manifestOf returns the digest of some manifest.
func manifestOf(s string) digest.Digest { return digest.FromString(s) }

func manifests(digests ...digest.Digest) []policy.Manifest {
	var list []policy.Manifest
	for _, d := range digests {
		list = append(list, policy.Manifest{Digest: d})
	}
	return list
}

func open(t testing.TB, config evidence.Config) *evidence.Keeper {
	t.Helper()
	if config.Directory == "" {
		config.Directory = t.TempDir()
	}
	if config.MaxSize == 0 {
		config.MaxSize = 1 << 30
	}
	keeper, err := evidence.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(keeper.Close)
	return keeper
}

// stored returns the stored evidence of one manifest.
func lookup(keeper *evidence.Keeper, named reference.Named, manifest digest.Digest) policy.Evidence {
	return keeper.Lookup(manifests(manifest), named)[0]
}

// fetched returns what is stored of one manifest after a fetch.
func fetched(t testing.TB, keeper *evidence.Keeper, named reference.Named, manifest digest.Digest) policy.Evidence {
	t.Helper()
	_ = keeper.Fetch(t.Context(), manifest, named)
	return lookup(keeper, named, manifest)
}

// filesIn returns the contents of signature-1, signature-2, … in a directory.
func filesIn(t testing.TB, directory string) []string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	var contents []string
	for i := range entries {
		content, err := os.ReadFile(filepath.Join(directory, fmt.Sprintf("signature-%d", i+1)))
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(content))
	}
	return contents
}

// reaching returns the configuration of a Keeper with a configuration of registries.
func reaching(registries registry.Config) evidence.Config {
	return evidence.Config{Fetcher: fetch.New(fetch.Config{Registries: registry.New(registries)})}
}
