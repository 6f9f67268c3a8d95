package fetch_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// site is a registry, and the node's configuration for it.
type site struct {
	t        *testing.T
	tools    *node.Tools
	registry *node.Registry
	key      node.Key
	reach    registry.Config
	// private reports whether the registry requires credentials.
	private bool
}

// kinds are all kinds of registries.
func kinds() map[string]node.RegistryConfig {
	return map[string]node.RegistryConfig{
		"distribution":                    {},
		"distribution, by TLS and tokens": {TLS: true, Tokens: true, Username: "user", Password: "secret"},
		"distribution, by a password":     {Username: "user", Password: "secret"},
		"with the referrers API":          {InProcess: true},
		"with the API, by TLS and tokens": {
			InProcess: true, TLS: true, Tokens: true, Username: "user", Password: "secret",
		},
		"with the API, by TLS and a password": {InProcess: true, TLS: true, Username: "user", Password: "secret"},
	}
}

// eachKind runs a test with each kind of registry.
func eachKind(t *testing.T, test func(s *site)) {
	t.Helper()
	tools := node.NewTools(t)
	key := rig.Must(tools.GenerateKey(t.Context(), t.TempDir(), "operator"))(t)
	for name, config := range kinds() {
		t.Run(name, func(t *testing.T) {
			config.Tools = tools
			s := &site{t: t, tools: tools, registry: node.NewRegistry(t, config), key: key, private: config.Username != ""}
			s.reach.HostsDirectory = hosts(t, s.registry, s.registry)
			s.reach.AuthFile = filepath.Join(t.TempDir(), "config.json")
			write(t, s.reach.AuthFile, s.registry.DockerConfig())
			test(s)
		})
	}
}

// hosts writes a hosts.toml that sends requests for a registry to other registries, in that order.
func hosts(t *testing.T, of *node.Registry, registries ...*node.Registry) string {
	t.Helper()
	directory := t.TempDir()
	content := fmt.Sprintf("server = %q\n", registries[len(registries)-1].URL())
	for i, registry := range registries {
		if i < len(registries)-1 {
			content = fmt.Sprintf("%s[host.%q]\n", content, registry.URL())
		}
		if registry.Authority != nil {
			path := filepath.Join(directory, fmt.Sprintf("%d.pem", i))
			write(t, path, registry.Authority)
			content += fmt.Sprintf("ca = %q\n", path)
		}
	}
	write(t, filepath.Join(directory, of.Host, "hosts.toml"), []byte(content))
	return directory
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	rig.OK(t, os.MkdirAll(filepath.Dir(path), 0o700))
	rig.OK(t, os.WriteFile(path, content, 0o600))
}

// push pushes an image that prints a word, as team/app:v1.
func (s *site) push(word string) node.Pushed {
	s.t.Helper()
	image := rig.Must(s.tools.Image(word))(s.t)
	return rig.Must(s.registry.Push(s.t.Context(), "team/app:v1", image))(s.t)
}

// sign signs an image with cosign, with annotations NAME=VALUE.
func (s *site) sign(image node.Pushed, old, recursive bool, annotations map[string]string) {
	s.t.Helper()
	rig.OK(s.t, s.tools.Sign(s.t.Context(), node.Signing{
		Image: image, Key: s.key, OldFormat: old, Recursive: recursive, Annotations: annotations,
		DockerConfig: s.registry.DockerConfig(),
	}))
}

// attest attaches an attestation with cosign.
func (s *site) attest(image node.Pushed) {
	s.t.Helper()
	predicate := filepath.Join(s.t.TempDir(), "predicate.json")
	write(s.t, predicate, []byte(`{"checked":true}`))
	_, err := s.tools.Cosign(s.t.Context(), s.registry.DockerConfig(), "attest", "--key", s.key.Private,
		"--type", "custom", "--predicate", predicate, "--tlog-upload=false", "--use-signing-config=false",
		"--allow-insecure-registry",
		"--allow-http-registry", "-y", image.ByDigest())
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) open() *evidence.Keeper {
	s.t.Helper()
	keeper, err := evidence.Open(evidence.Config{
		Directory: s.t.TempDir(), MaxSize: 1 << 30, Fetcher: s.fetcher(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(keeper.Close)
	return keeper
}

// fetched returns the evidence that is stored of an image after a fetch.
func (s *site) fetched(keeper *evidence.Keeper, image node.Pushed) policy.Evidence {
	s.t.Helper()
	named := s.named(image.Repository)
	rig.OK(s.t, keeper.Fetch(s.t.Context(), image.Digest, named))
	return keeper.Lookup([]policy.Manifest{{Digest: image.Digest}}, named)[0]
}

func (s *site) named(ref string) reference.Named {
	s.t.Helper()
	return rig.Must(policy.Normalize(ref))(s.t)
}

// names returns the docker-reference annotations of the stored bundles.
func (s *site) names(kept policy.Evidence) (names []string) {
	s.t.Helper()
	for i := range kept.Bundles {
		raw := rig.Must(os.ReadFile(filepath.Join(kept.Directory, fmt.Sprintf("bundle-%d.json", i+1))))(s.t)
		bundle := rig.Must(format.ParseBundle(raw))(s.t)
		var statement struct {
			Subject []struct{ Annotations map[string]string }
		}
		rig.OK(s.t, json.Unmarshal(bundle.Payload, &statement))
		names = append(names, statement.Subject[0].Annotations["docker-reference"])
	}
	return names
}

// fetcher fetches as the site is reached.
func (s *site) fetcher() *fetch.Fetcher {
	return fetch.New(fetch.Config{Registries: registry.New(s.reach)})
}
