package credstest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Version is the version of the plugins' protocol.
const Version = "credentialprovider.kubelet.k8s.io/v1"

// Plugin is a credential provider plugin: a program that records its runs and their inputs, and then runs a script.
type Plugin struct {
	// Directory contains the program, and Config is the path of a CredentialProviderConfig with it.
	Directory, Config string

	t testing.TB
}

// New writes a plugin called plugin, and a configuration with which it is for an image.
func New(t testing.TB, image, script string) Plugin {
	t.Helper()
	// Programs often cannot run in a directory in memory, and a test's directory may be one.
	directory, err := os.MkdirTemp(os.TempDir(), "plugin") //nolint:usetesting // As above.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	p := Plugin{Directory: directory, Config: filepath.Join(directory, "config", "providers.yaml"), t: t}
	path := filepath.Join(directory, "plugin")
	script = "cd '" + directory + "'; echo run >> runs; cat > request; echo \"$@ $EXTRA\" > arguments\n" + script
	write(t, path, "#!/bin/sh\n"+script+"\n")
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	p.Configure(ProviderConfig("plugin", image))
	return p
}

// Configure writes the configuration.
func (p Plugin) Configure(config string) {
	p.t.Helper()
	write(p.t, p.Config, config)
}

// ProviderConfig returns a configuration with one provider.
func ProviderConfig(name, image string) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: %s
  apiVersion: %s
  matchImages: [%q]
  defaultCacheDuration: 12h
  args: [get, credentials]
  env: [{name: EXTRA, value: of the environment}]
`, name, Version, image)
}

// Answer returns a script that answers for an image; caching has the fields that determine for what and how long.
func Answer(caching, image string) string {
	return fmt.Sprintf(`cat << END
{"kind":"CredentialProviderResponse","apiVersion":%q,%s,"auth":{%q:{"username":"user","password":"pass"}}}
END`, Version, caching, image)
}

// Runs returns how often the plugin ran.
func (p Plugin) Runs() int {
	p.t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.Directory, "runs"))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return strings.Count(string(raw), "run\n")
}

// Recorded returns what the plugin recorded in its last run.
func (p Plugin) Recorded(name string) string {
	p.t.Helper()
	raw, err := os.ReadFile(filepath.Join(p.Directory, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
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
