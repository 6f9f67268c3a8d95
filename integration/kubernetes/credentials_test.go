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
	for _, on := range releases() {
		t.Run(on.name(), on.ownCredentials)
	}
}

func (on release) ownCredentials(t *testing.T) {
	t.Parallel()
	l := newLab(t, labConfig{Containerd: node.Release(on), Registry: protected()})
	good := string(l.Registry.DockerConfig())
	bad := strings.Replace(good, `"auth"`, `"auth": "bWFsbG9yeTp3cm9uZw==", "unused"`, 1)
	if good == bad {
		t.Fatalf("the registry's config.json has no auth: %s", good)
	}
	l.secret(t, prod, "good", good)
	l.secret(t, prod, "bad", bad)
	signed, unsigned := l.signed(t, "shop/signed:v1"), l.Push(t, "shop/unsigned:v1")

	t.Run("without credentials the registry's refusal is shown, and nothing about signatures", func(t *testing.T) {
		for _, image := range []node.Pushed{signed, unsigned} {
			pod := l.run(t, prod, image, nil)
			l.wantStatus(t, prod, pod, "failed to fetch anonymous token", "ErrImagePull")
			l.wantAnswerOfTheRegistry(t, pod)
		}
	})
	t.Run("a signed image runs", func(t *testing.T) {
		l.wantRunning(t, prod, l.run(t, prod, signed, withSecrets("good")))
	})
	t.Run("an unsigned image is refused, with the same text for several credentials", func(t *testing.T) {
		l.secret(t, prod, "again", good)
		pod := l.run(t, prod, unsigned, withSecrets("good", "again"))
		l.wantStatus(t, prod, pod, "requires a signature and none was found (unsigned)", "SignatureValidationFailed")
	})
	t.Run("the credentials of one pod serve no other", func(t *testing.T) {
		for _, secrets := range []kubernetes.Object{nil, withSecrets("bad")} {
			another := l.signed(t, "shop/another-"+strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))+":v1")
			l.wantAnswerOfTheRegistry(t, l.run(t, prod, another, secrets))
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
