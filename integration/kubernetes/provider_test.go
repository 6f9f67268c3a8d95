package kubernetes_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestAPullUsesTheCredentialsOfAKubeletPlugin: only a credential provider of the kubelet has credentials. Neither the
// pod nor the configuration of countersign has any.
func TestAPullUsesTheCredentialsOfAKubeletPlugin(t *testing.T) {
	for _, on := range releases() {
		t.Run(on.name(), on.pluginCredentials)
	}
}

func (on release) pluginCredentials(t *testing.T) {
	t.Parallel()
	registry := protected()
	l := prepareLab(t, labConfig{Containerd: node.Release(on), Registry: registry})
	configuration, plugins := l.Path("providers.json"), l.Path("providers")
	answer := filepath.Join(plugins, "answer.json")
	rig.OK(t, os.Mkdir(plugins, 0o700))
	rig.OK(t, os.WriteFile(filepath.Join(plugins, "provider"),
		[]byte("#!/bin/sh\ncat >/dev/null\ncat "+answer+"\n"), 0o700))
	writeJSON(t, configuration, map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig",
		"providers": []any{map[string]any{
			"name": "provider", "matchImages": []string{l.Registry.Host}, "defaultCacheDuration": "0s",
			"apiVersion": "credentialprovider.kubelet.k8s.io/v1",
		}},
	})
	provide := func(password string) {
		writeJSON(t, answer, map[string]any{
			"apiVersion": "credentialprovider.kubelet.k8s.io/v1", "kind": "CredentialProviderResponse",
			"cacheKeyType": "Registry", "cacheDuration": "0s",
			"auth": map[string]any{l.Registry.Host: map[string]string{"username": registry.Username, "password": password}},
		})
	}
	provide(registry.Password)
	l.boot(t, kubernetes.Config{KubeletArguments: []string{
		"--image-credential-provider-config=" + configuration, "--image-credential-provider-bin-dir=" + plugins,
	}})

	t.Run("a signed image runs", func(t *testing.T) {
		l.wantRunning(t, prod, l.run(t, prod, l.signed(t, "shop/signed:v1"), nil))
	})
	t.Run("an unsigned image is refused", func(t *testing.T) {
		l.refused(t, l.run(t, prod, l.Push(t, "shop/unsigned:v1"), nil), "SignatureValidationFailed")
	})
	t.Run("with wrong credentials the registry's refusal is shown, and nothing about signatures", func(t *testing.T) {
		provide("wrong")
		for _, image := range []node.Pushed{l.signed(t, "shop/signed:v2"), l.Push(t, "shop/unsigned:v2")} {
			l.wantAnswerOfTheRegistry(t, l.run(t, prod, image, nil))
		}
	})
}

// wantAnswerOfTheRegistry waits until a pod is refused by the registry. The event must not mention signatures.
func (l *lab) wantAnswerOfTheRegistry(t *testing.T, pod string) (status string) {
	t.Helper()
	status = l.wantStatus(t, prod, pod, "", "ErrImagePull")
	events := strings.Join(rig.Must(l.cluster.Events(t.Context(), prod, pod))(t), "\n")
	if strings.Contains(events, "SignatureValidationFailed") || strings.Contains(events, "unsigned)") {
		t.Errorf("events:\n%s", events)
	}
	return status
}

func writeJSON(t *testing.T, path string, value any) {
	t.Helper()
	rig.OK(t, os.WriteFile(path, rig.Must(json.Marshal(value))(t), 0o600))
}
