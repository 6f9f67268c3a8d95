package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// CredentialProvider is a credential provider plugin of the kubelet: a program, and the configuration that names it.
type CredentialProvider struct {
	// Settings are the keys of config.toml that name it: see [DaemonConfig].
	Settings map[string]any

	answers string
}

// InstallCredentialProvider installs the harness's credential provider plugin on the node, for images that match the
// patterns. The plugin has no credentials yet.
func (n *Node) InstallCredentialProvider(ctx context.Context, patterns ...string) (*CredentialProvider, error) {
	const name = "provider"
	programs, answers := n.Path("credential-providers"), n.Path("credentials.json")
	if err := os.MkdirAll(programs, 0o700); err != nil {
		return nil, fmt.Errorf("installing a credential provider: %w", err)
	}
	if _, err := n.Tools.BuildProgram(ctx, "./integration/node/"+name, programs, false); err != nil {
		return nil, err
	}
	contents, err := json.Marshal(map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig",
		"providers": []any{map[string]any{
			"name": name, "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "args": []string{answers},
			"matchImages": patterns, "defaultCacheDuration": "0s",
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("installing a credential provider: %w", err)
	}
	if err := n.directory.write("credential-providers.json", contents); err != nil {
		return nil, err
	}
	return &CredentialProvider{
		Settings: map[string]any{
			"credential_provider_config":    n.Path("credential-providers.json"),
			"credential_provider_directory": programs,
		},
		answers: answers,
	}, nil
}

// Give makes the plugin return a registry's credentials from now on. Callers may cache them for a duration such as
// "5m".
func (p *CredentialProvider) Give(registry *Registry, cacheFor string) error {
	contents, err := json.Marshal(map[string]any{
		"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderResponse",
		"cacheKeyType": "Registry", "cacheDuration": cacheFor,
		"auth": map[string]any{registry.Host: map[string]string{
			"username": registry.config.Username, "password": registry.config.Password,
		}},
	})
	if err != nil {
		return fmt.Errorf("answering for a credential provider: %w", err)
	}
	return replace(p.answers, contents)
}

// Asked returns the images in the plugin's requests.
func (p *CredentialProvider) Asked() ([]string, error) {
	contents, err := os.ReadFile(p.answers + ".asked")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what a credential provider was asked: %w", err)
	}
	return strings.Fields(string(contents)), nil
}
