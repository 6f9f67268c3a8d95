package evidence_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/evidence"
)

const providerVersion = "credentialprovider.kubelet.k8s.io/v1"

// plugin is a credential provider plugin: a program that notes how often it ran, and with what, and then does what a
// script says.
type plugin struct {
	directory, config string
	t                 testing.TB
}

// newPlugin writes a plugin called plugin, and a configuration in which it is for an image.
func newPlugin(t testing.TB, image, script string) plugin {
	t.Helper()
	directory, err := os.MkdirTemp(forPrograms, "evidence") //nolint:usetesting // Not one in memory.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	p := plugin{directory: directory, config: filepath.Join(directory, "config", "providers.yaml"), t: t}
	path := filepath.Join(directory, "plugin")
	script = "cd '" + directory + "'; echo run >> runs; cat > request; echo \"$@ $EXTRA\" > arguments\n" + script
	write(t, path, "#!/bin/sh\n"+script+"\n")
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	p.configure(providerConfig("plugin", image))
	return p
}

// configure writes the configuration.
func (p plugin) configure(config string) {
	p.t.Helper()
	write(p.t, p.config, config)
}

// providerConfig is a configuration of one provider.
func providerConfig(name, image string) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: %s
  apiVersion: %s
  matchImages: [%q]
  defaultCacheDuration: 12h
  args: [get, credentials]
  env: [{name: EXTRA, value: of the environment}]
`, name, providerVersion, image)
}

// says is a script that answers for an image; caching holds the fields that say for what and for how long.
func says(caching, image string) string {
	return fmt.Sprintf(`cat << END
{"kind":"CredentialProviderResponse","apiVersion":%q,%s,"auth":{%q:{"username":"user","password":"pass"}}}
END`, providerVersion, caching, image)
}

// runs returns how often the plugin ran.
func (p plugin) runs() int {
	p.t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.directory, "runs"))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return strings.Count(string(raw), "run\n")
}

// noted returns what the plugin noted of its last run.
func (p plugin) noted(name string) string {
	p.t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.directory, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

func (p plugin) providers() evidence.Providers { return evidence.NewProviders(p.config, p.directory) }

// registries are those that are reached with the plugin.
func (p plugin) registries(file string) evidence.RegistryConfig {
	return evidence.RegistryConfig{
		AuthFile: file, CredentialProviderConfig: p.config, CredentialProviderDirectory: p.directory,
	}
}
