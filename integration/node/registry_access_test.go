package node_test

import (
	"bytes"
	"net/http"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// reserved are registries with TLS that require tokens.
func reserved(tools *node.Tools) map[string]node.RegistryConfig {
	config := node.RegistryConfig{Tools: tools, Username: "ann", Password: "secret", Tokens: true, TLS: true}
	inProcess := config
	inProcess.InProcess = true
	return map[string]node.RegistryConfig{"distribution": config, "go-containerregistry": inProcess}
}

func TestRegistrySpeaksTLSAndAsksForTokens(t *testing.T) {
	n := node.Start(t, node.Config{})
	another := node.NewRegistry(t, node.RegistryConfig{InProcess: true, TLS: true})
	for kind, config := range reserved(n.Tools) {
		t.Run(kind, func(t *testing.T) {
			registry := node.NewRegistry(t, config)
			pushed := push(t, n.Tools, registry, "team/app:v1", kind)
			signing := node.Signing{Image: pushed, Key: key(t, n.Tools), DockerConfig: registry.DockerConfig()}
			if err := n.Tools.Sign(t.Context(), signing); err != nil {
				t.Errorf("cosign does not get at it: %v", err)
			}
			pod := node.Pod{
				Namespace: "default", Container: node.Container{Image: pushed.Reference, Pull: node.Always},
				Auth: &cri.AuthConfig{Username: "ann", Password: "secret"},
			}
			// If no hosts.toml names a registry on this machine, containerd does not verify its certificate.
			for _, authority := range [][]byte{another.Authority, registry.Authority} {
				err := n.WriteHosts(registry.Host, node.Mirror{URL: registry.URL(), Authority: authority})
				if err != nil {
					t.Fatal(err)
				}
				_, err = n.CRI.PullImage(t.Context(), pushed.Reference, pod.Auth, nil)
				if trusted := bytes.Equal(authority, registry.Authority); trusted != (err == nil) {
					t.Errorf("whether its certificate is trusted: %t; pulling says %v", trusted, err)
				}
			}
			if _, err := n.RunPod(t.Context(), pod); err != nil {
				t.Errorf("with its authority and credentials: %v", err)
			}
			pod.Auth.Password = "wrong"
			if _, err := n.RunPod(t.Context(), pod); err == nil {
				t.Error("it was pulled from without a token")
			}
			for _, status := range []int{http.StatusUnauthorized, http.StatusOK} {
				if !asked(t, registry, "/v2/team/app/manifests/v1", status) {
					t.Errorf("its log does not show that it answered containerd with %d", status)
				}
			}
		})
	}
}

func TestMirrorServesWhatItPulledThrough(t *testing.T) {
	lab := newLab(t)
	mirror := node.NewRegistry(t, node.RegistryConfig{Tools: lab.Tools, ProxyOf: lab.registry})
	pushed := lab.push(t, "app:v1", "mirrored")
	server := node.Mirror{URL: lab.registry.URL()}
	if err := lab.WriteHosts(lab.registry.Host, server, node.MirrorOf(mirror)); err != nil {
		t.Fatal(err)
	}
	for _, circumstance := range []string{"through the mirror", "from the mirror alone"} {
		if _, marker := lab.run(t, node.Container{Image: pushed.Reference, Pull: node.Always}); marker != "mirrored" {
			t.Errorf("%s, it runs %q", circumstance, marker)
		}
		if err := lab.CRI.RemoveImage(t.Context(), pushed.Reference); err != nil {
			t.Fatal(err)
		}
		if err := lab.registry.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if !asked(t, mirror, "/v2/app/manifests/v1?ns="+"localhost%3A"+lab.registry.Host[len("localhost:"):], http.StatusOK) {
		requests, err := mirror.Requests()
		t.Errorf("the mirror was not asked: %+v, %v", requests, err)
	}
}
