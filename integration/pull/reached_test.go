package pull_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// reached are registries that are at another address than their name, or that require credentials.
func (w *workshop) reached(t *testing.T) {
	t.Parallel()
	t.Run("by mirrors", w.mirrors)
	t.Run("by TLS, with a token", w.tokens)
}

func (w *workshop) mirrors(t *testing.T) {
	l := w.newLab(t, w.Distribution(), nil)
	l.Start(t)
	server := node.Mirror{URL: l.Registry.URL()}
	mirror := node.NewRegistry(t, node.RegistryConfig{Tools: l.Tools, ProxyOf: l.Registry})
	t.Run("of which one is down", func(t *testing.T) {
		down := node.Mirror{URL: "http://" + unusedAddress(t)}
		rig.OK(t, l.WriteHosts(l.Registry.Host, server, down))
		image := l.signed(t, "shop/mirrored:v1", bundle)
		l.Pull(t, image)
		l.runsAtOnce(t, prod, image)
		l.refusesPull(t, l.Push(t, "shop/mirrored-unsigned:v1"), "unsigned")
	})
	t.Run("that pull through", func(t *testing.T) {
		rig.OK(t, l.WriteHosts(l.Registry.Host, server, node.MirrorOf(mirror)))
		for _, format := range []format{bundle, old} {
			image := l.signed(t, "shop/through-"+[]string{"bundle", "old"}[format]+":v1", format)
			before := len(asked(t, l.Registry, ""))
			l.Pull(t, image)
			l.runsAtOnce(t, prod, image)
			found := asked(t, mirror, l.repository(image))
			if !slices.ContainsFunc(found, func(r node.Request) bool { return strings.Contains(r.Path, "/manifests/sha256-") }) {
				t.Errorf("the mirror received no request for signatures: %+v", found)
			}
			for _, request := range asked(t, l.Registry, "")[before:] {
				if strings.HasPrefix(request.UserAgent, "containerd/") {
					t.Errorf("the registry was asked, not its mirror: %+v", request)
				}
			}
		}
	})
	t.Run("of a registry that was stopped", func(t *testing.T) {
		image := node.Pushed{Reference: l.Registry.Host + "/shop/through-old:v1"}
		rig.OK(t, l.Daemon.Terminate(t.Context()))
		rig.OK(t, l.CRI.RemoveImage(t.Context(), image.Reference))
		rig.OK(t, l.Registry.Stop())
		// It has lost all its data.
		l.Daemon = l.newDaemon(t, nil)
		rig.OK(t, l.InstallVerifier(l.verifier, l.Daemon))
		l.Start(t)
		l.Pull(t, image)
		l.runsAtOnce(t, prod, image)
	})
}

// unusedAddress is an address on which no process listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	listener := rig.Must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	defer listener.Close()
	return listener.Addr().String()
}

// tokens is a registry for whose images the kubelet has secrets, and for whose signatures a credential provider has
// credentials.
func (w *workshop) tokens(t *testing.T) {
	registry := w.Distribution()
	registry.TLS, registry.Tokens, registry.Username, registry.Password = true, true, "ann", "a word"
	l := w.newLab(t, registry, nil)
	rig.OK(t, l.WriteHosts(l.Registry.Host, node.MirrorOf(l.Registry)))
	provider := rig.Must(l.InstallCredentialProvider(t.Context(), l.Registry.Host))(t)
	l.Daemon = l.newDaemon(t, settings{"registry": provider.Settings})
	rig.OK(t, l.InstallVerifier(l.verifier, l.Daemon))
	l.Start(t)
	secret := &cri.AuthConfig{Username: "ann", Password: "a word"}
	image := l.signed(t, "shop/closed:v1", bundle)
	pull := func(image node.Pushed) error {
		_, err := l.CRI.PullImage(t.Context(), image.Reference, secret, nil)
		return err
	}
	t.Run("that the daemon lacks", func(t *testing.T) {
		rig.OK(t, pull(image))
		pod := l.Pod(prod, image)
		_, err := l.RunPodUntil(t.Context(), pod)
		if !rig.IsRefused(err, "unavailable") {
			t.Fatalf("without credentials it should be refused (unavailable), and the error is %v", err)
		}
		decision := rig.Must(l.Daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
			return d.Pod == pod.Name && d.Reason == "unavailable"
		}))(t)
		for _, words := range []string{"401", "add credentials", l.AuthFile(), "credential provider"} {
			if !strings.Contains(decision.Detail, words) {
				t.Errorf("the record does not say where to add credentials, %q: %s", words, decision.Detail)
			}
		}
		if strings.Contains(err.Error(), l.AuthFile()) {
			t.Errorf("the tenant reads where the node has its credentials: %v", err)
		}
	})
	t.Run("that a provider has by now", func(t *testing.T) {
		rig.OK(t, provider.Give(l.Registry, "5m"))
		l.BecomesRunnable(t, prod, image)
	})
	t.Run("that a provider gave for a time", func(t *testing.T) {
		before := len(rig.Must(provider.Asked())(t))
		second := l.signed(t, "shop/closed-too:v1", old)
		rig.OK(t, pull(second))
		l.runsAtOnce(t, prod, second)
		if after := rig.Must(provider.Asked())(t); len(after) != before {
			t.Errorf("it was asked again within that time: %v", after[before:])
		}
	})
}
