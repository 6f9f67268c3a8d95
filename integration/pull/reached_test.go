package pull_test

import (
	"net"
	"slices"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// reached are registries that are not where their name says, or not for everybody.
func (w *workshop) reached(t *testing.T) {
	t.Parallel()
	t.Run("by mirrors", w.mirrors)
	t.Run("by TLS, with a token", w.tokens)
}

func (w *workshop) mirrors(t *testing.T) {
	l := w.newLab(t, w.distribution(), nil)
	l.start(t)
	server := node.Mirror{URL: l.registry.URL()}
	mirror := node.NewRegistry(t, node.RegistryConfig{Tools: w.tools, ProxyOf: l.registry})
	t.Run("of which one is down", func(t *testing.T) {
		down := node.Mirror{URL: "http://" + unusedAddress(t)}
		no(t, l.WriteHosts(l.registry.Host, server, down))
		image := l.signed(t, "shop/mirrored:v1", bundle)
		l.pulls(t, image)
		l.runsAtOnce(t, prod, image)
		l.refusesPull(t, l.push(t, "shop/mirrored-unsigned:v1"), "unsigned")
	})
	t.Run("that pull through", func(t *testing.T) {
		no(t, l.WriteHosts(l.registry.Host, server, node.MirrorOf(mirror)))
		for _, format := range []format{bundle, old} {
			image := l.signed(t, "shop/through-"+[]string{"bundle", "old"}[format]+":v1", format)
			before := len(asked(t, l.registry, ""))
			l.pulls(t, image)
			l.runsAtOnce(t, prod, image)
			found := asked(t, mirror, l.repository(image))
			if !slices.ContainsFunc(found, func(r node.Request) bool { return strings.Contains(r.Path, "/manifests/sha256-") }) {
				t.Errorf("the mirror was not asked for signatures: %+v", found)
			}
			for _, request := range asked(t, l.registry, "")[before:] {
				if strings.HasPrefix(request.UserAgent, "containerd/") {
					t.Errorf("the registry was asked, not its mirror: %+v", request)
				}
			}
		}
	})
	t.Run("of a registry that is gone", func(t *testing.T) {
		image := node.Pushed{Reference: l.registry.Host + "/shop/through-old:v1"}
		no(t, l.daemon.Terminate(t.Context()))
		no(t, l.CRI.RemoveImage(t.Context(), image.Reference))
		no(t, l.registry.Stop())
		// It has forgotten everything.
		l.daemon = l.newDaemon(t, nil)
		no(t, l.InstallVerifier(l.verifier, l.daemon))
		l.start(t)
		l.pulls(t, image)
		l.runsAtOnce(t, prod, image)
	})
}

// unusedAddress is an address at which nobody listens.
func unusedAddress(t *testing.T) string {
	t.Helper()
	listener := must(new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0"))(t)
	defer listener.Close()
	return listener.Addr().String()
}

// tokens is a registry whose images the kubelet's secrets open, and whose signatures a credential provider does.
func (w *workshop) tokens(t *testing.T) {
	registry := w.distribution()
	registry.TLS, registry.Tokens, registry.Username, registry.Password = true, true, "ann", "a word"
	l := w.newLab(t, registry, nil)
	no(t, l.WriteHosts(l.registry.Host, node.MirrorOf(l.registry)))
	provider := must(l.InstallCredentialProvider(t.Context(), l.registry.Host))(t)
	l.daemon = l.newDaemon(t, settings{"registry": provider.Settings})
	no(t, l.InstallVerifier(l.verifier, l.daemon))
	l.start(t)
	secret := &cri.AuthConfig{Username: "ann", Password: "a word"}
	image := l.signed(t, "shop/closed:v1", bundle)
	pull := func(image node.Pushed) error {
		_, err := l.CRI.PullImage(t.Context(), image.Reference, secret, nil)
		return err
	}
	t.Run("that the daemon lacks", func(t *testing.T) {
		no(t, pull(image))
		pod := l.pod(prod, image)
		_, err := l.RunPodUntil(t.Context(), pod)
		if !isRefused(err, "unavailable") {
			t.Fatalf("without credentials it should be refused (unavailable), and the error is %v", err)
		}
		decision := must(l.daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
			return d.Pod == pod.Name && d.Reason == "unavailable"
		}))(t)
		for _, words := range []string{"401", "put credentials", l.AuthFile(), "credential provider"} {
			if !strings.Contains(decision.Detail, words) {
				t.Errorf("the record does not say where to put credentials, %q: %s", words, decision.Detail)
			}
		}
		if strings.Contains(err.Error(), l.AuthFile()) {
			t.Errorf("the tenant reads where the node has its credentials: %v", err)
		}
	})
	t.Run("that a provider has by now", func(t *testing.T) {
		no(t, provider.Give(l.registry, "5m"))
		l.runs(t, image)
	})
	t.Run("that a provider gave for a time", func(t *testing.T) {
		before := len(must(provider.Asked())(t))
		second := l.signed(t, "shop/closed-too:v1", old)
		no(t, pull(second))
		l.runsAtOnce(t, prod, second)
		if after := must(provider.Asked())(t); len(after) != before {
			t.Errorf("it was asked again within that time: %v", after[before:])
		}
	})
}
