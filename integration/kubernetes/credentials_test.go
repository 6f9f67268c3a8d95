package kubernetes_test

import (
	"os"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestAPullUsesThePodsOwnCredentials: the registry wants tokens, and the node has no credentials for it.
func TestAPullUsesThePodsOwnCredentials(t *testing.T) {
	l := newLab(t, node.RegistryConfig{Username: "ann", Password: "ann-7f3a", Tokens: true})
	secret := func(namespace, name, contents string) kubernetes.Object {
		return kubernetes.Object{
			"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
			"metadata":   kubernetes.Object{"namespace": namespace, "name": name},
			"stringData": kubernetes.Object{".dockerconfigjson": contents},
		}
	}
	good := string(l.Registry.DockerConfig())
	bad := strings.Replace(good, `"auth"`, `"auth": "bWFsbG9yeTp3cm9uZw==", "unused"`, 1)
	if good == bad {
		t.Fatalf("the registry's config.json has no auth: %s", good)
	}
	rig.OK(t, l.cluster.Apply(t.Context(), secret(prod, "good", good), secret(prod, "bad", bad)))
	with := func(secrets ...string) kubernetes.Object {
		list := []any{}
		for _, name := range secrets {
			list = append(list, kubernetes.Object{"name": name})
		}
		return kubernetes.Object{"imagePullSecrets": list}
	}
	signed, unsigned := l.signed(t, "shop/signed:v1"), l.Push(t, "shop/unsigned:v1")

	t.Run("without credentials the registry's refusal is shown, and nothing about signatures", func(t *testing.T) {
		for _, image := range []node.Pushed{signed, unsigned} {
			pod := l.run(t, prod, image, nil)
			l.wantStatus(t, prod, pod, "failed to fetch anonymous token", "ErrImagePull")
			events := strings.Join(rig.Must(l.cluster.Events(t.Context(), prod, pod))(t), "\n")
			if strings.Contains(events, "SignatureValidationFailed") || strings.Contains(events, "unsigned)") {
				t.Errorf("events:\n%s", events)
			}
		}
	})
	t.Run("a signed image runs", func(t *testing.T) {
		l.wantRunning(t, prod, l.run(t, prod, signed, with("good")))
	})
	t.Run("an unsigned image is refused, with the same text for several credentials", func(t *testing.T) {
		rig.OK(t, l.cluster.Apply(t.Context(), secret(prod, "again", good)))
		pod := l.run(t, prod, unsigned, with("good", "again"))
		l.wantStatus(t, prod, pod, "requires a signature and none was found (unsigned)", "SignatureValidationFailed")
	})
	t.Run("the credentials of one pod serve no other", func(t *testing.T) {
		for _, secrets := range []kubernetes.Object{nil, with("bad")} {
			another := l.signed(t, "shop/another-"+strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))+":v1")
			pod := l.run(t, prod, another, secrets)
			l.wantStatus(t, prod, pod, "", "ErrImagePull")
			events := strings.Join(rig.Must(l.cluster.Events(t.Context(), prod, pod))(t), "\n")
			if strings.Contains(events, "SignatureValidationFailed") {
				t.Errorf("events:\n%s", events)
			}
		}
	})
	t.Run("no credentials are logged", func(t *testing.T) {
		log := string(rig.Must(os.ReadFile(l.Daemon.LogFile()))(t))
		for _, word := range []string{"ann-7f3a", "mallory", "bWFsbG9yeTp3cm9uZw"} {
			if strings.Contains(log, word) {
				t.Errorf("the log contains %q", word)
			}
		}
	})
}
