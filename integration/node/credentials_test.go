package node_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/integration/node"
)

// TestCredentialProviderAnswersAsKubeletsDo runs the plugin with the kubelet's protocol for plugins.
func TestCredentialProviderAnswersAsKubeletsDo(t *testing.T) {
	n := node.Start(t, node.Config{})
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true, Username: "ann", Password: "secret"})
	provider, err := n.InstallCredentialProvider(t.Context(), registry.Host)
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(provider.Settings["credential_provider_directory"].(string), "provider")
	ask := func() ([]byte, error) {
		command := exec.CommandContext(t.Context(), program, n.Path("credentials.json"))
		command.Stdin = strings.NewReader(`{"kind": "CredentialProviderRequest",
			"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "image": "registry.example/app:v1"}`)
		return command.Output()
	}
	if answer, err := ask(); err == nil {
		t.Errorf("without credentials it answers %s", answer)
	}
	if err := provider.Give(registry, "5m"); err != nil {
		t.Fatal(err)
	}
	answer, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(answer, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderResponse",
		"cacheKeyType": "Registry", "cacheDuration": "5m",
		"auth": map[string]any{registry.Host: map[string]any{"username": "ann", "password": "secret"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("it answers (-want +got):\n%s", diff)
	}
	asked, err := provider.Asked()
	if diff := cmp.Diff([]string{"registry.example/app:v1", "registry.example/app:v1"}, asked); err != nil || diff != "" {
		t.Errorf("it was asked about (-want +got):\n%s%v", diff, err)
	}
}
