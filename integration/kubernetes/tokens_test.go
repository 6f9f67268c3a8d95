package kubernetes_test

import (
	"os"
	"strings"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestTokensOfAPull: a client of the image service may send tokens instead of a password. The kubelet sends none.
func TestTokensOfAPull(t *testing.T) {
	for _, on := range releases() {
		t.Run(on.name(), on.tokens)
	}
}

func (on release) tokens(t *testing.T) {
	t.Parallel()
	l := prepareLab(t, labConfig{Containerd: node.Release(on), Registry: protected()})
	proxy := rig.Must(node.ConnectCRI(l.Path("cri.sock")))(t)
	t.Cleanup(func() { _ = proxy.Close() })
	pull := func(client *node.CRI, image node.Pushed, auth *cri.AuthConfig) error {
		_, err := client.PullImage(t.Context(), image.Reference, auth, &cri.PodSandboxConfig{
			Metadata: &cri.PodSandboxMetadata{Namespace: prod, Name: "app", Uid: "1"},
		})
		return err
	}
	signed, unsigned := l.signed(t, "shop/signed:v1"), l.Push(t, "shop/unsigned:v1")
	identity := &cri.AuthConfig{IdentityToken: l.Registry.IdentityToken()}

	t.Run("an image is pulled, and its signatures are fetched, with an identity token", func(t *testing.T) {
		rig.OK(t, pull(proxy, signed, identity))
		err := pull(proxy, unsigned, identity)
		if err == nil || !strings.Contains(err.Error(), "requires a signature and none was found (unsigned)") {
			t.Errorf("an unsigned image: %v", err)
		}
	})
	t.Run("containerd ignores registry tokens, and so does the fetch of signatures", func(t *testing.T) {
		repository := strings.TrimPrefix(unsigned.Repository, l.Registry.Host+"/")
		registry := &cri.AuthConfig{RegistryToken: rig.Must(l.Registry.PullToken(repository))(t)}
		for name, client := range map[string]*node.CRI{"containerd": l.CRI, "the image service": proxy} {
			err := pull(client, unsigned, registry)
			if err == nil || strings.Contains(err.Error(), "SignatureValidationFailed") ||
				!strings.Contains(err.Error(), "failed to fetch anonymous token") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("the credentials of the node tell a pod without credentials nothing", func(t *testing.T) {
		rig.OK(t, os.WriteFile(l.AuthFile(), l.Registry.DockerConfig(), 0o600))
		for _, image := range []node.Pushed{signed, unsigned} {
			err := pull(proxy, image, nil)
			if err == nil || strings.Contains(err.Error(), "SignatureValidationFailed") ||
				!strings.Contains(err.Error(), "failed to fetch anonymous token") {
				t.Error(err)
			}
		}
	})
}
