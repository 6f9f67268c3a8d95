package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// session is the session of CRI-O's documentation of signature policies by namespace, on containerd. The images are
// signed without a key, by identities that a Fulcio and a Rekor of the test certify.
type session struct {
	*lab
	out      io.Writer
	sigstore *bundletest.Sigstore
	signed   node.Pushed
}

// TestASessionWithPoliciesByNamespace prints what `make demo-kubernetes` shows.
func TestASessionWithPoliciesByNamespace(t *testing.T) {
	s := &session{lab: newLab(t, labConfig{Registry: node.RegistryConfig{InProcess: true}}), out: t.Output()}
	s.sigstore = bundletest.NewSigstore(t)
	s.signed = s.Push(t, "crio/signed:v1")
	keyless.SignBundle(t, s.Registry, s.signed, s.sigstore, alice(), s.signed.Repository)
	unsigned := s.Push(t, "crio/unsigned:v1")
	const none = "requires a signature and none was found (unsigned)"

	s.say("A pod of namespace default pulls with the system policy, which requires alice@example.com to have signed.")
	s.system(t, alice())
	s.crictl(t, s.signed, "default", "")

	s.say("With another address in the policy, the same image is refused.")
	s.system(t, bundletest.Identity{Email: "wrong@example.com", Issuer: alice().Issuer})
	s.crictl(t, s.signed, "default", "requires a signature and none of those found satisfies it (rejected)")

	s.say("An image without a signature is refused too.")
	s.system(t, alice())
	s.crictl(t, unsigned, "default", none)

	s.say("kubectl shows why a pod does not start.")
	pod := s.run(t, "default", unsigned, nil)
	s.wantStatus(t, "default", pod, none, "SignatureValidationFailed")
	s.kubectl(t, "-n", "default", "get", "pod", pod)
	s.kubectl(t, "-n", "default", "get", "events", "--field-selector", "involvedObject.name="+pod)

	s.say("Namespace dev has a policy of its own, which admits everything: %s.", s.PolicyDirectory()+"/dev.json")
	s.wantRunning(t, dev, s.run(t, dev, unsigned, nil))
	s.kubectl(t, "-n", dev, "get", "pods")

	s.say("Now the image is on the node. With CRI-O, or with containerd alone, it would run in namespace default too.")
	cached := s.run(t, "default", unsigned, nil)
	s.wantStatus(t, "default", cached, "SignatureValidationFailed: ", "CreateContainerError")
	s.kubectl(t, "-n", "default", "get", "pod", cached)

	s.say("The signed image runs.")
	running := s.run(t, "default", s.signed, nil)
	s.wantRunning(t, "default", running)
	s.kubectl(t, "-n", "default", "get", "pod", running)
}

func alice() bundletest.Identity {
	return bundletest.Identity{Email: "alice@example.com", Issuer: "https://accounts.example.com"}
}

func (s *session) say(format string, arguments ...any) {
	fmt.Fprintf(s.out, "\n# "+format+"\n", arguments...)
}

// system writes the system policy: images must be signed by an identity.
func (s *session) system(t *testing.T, identity bundletest.Identity) {
	t.Helper()
	requirement := node.Requirement(s.sigstore.Requirement(t, identity))
	requirement["signedIdentity"] = map[string]string{"type": "matchRepository"}
	s.Write(t, "", node.Policy{Scopes: map[string]node.Requirement{s.Registry.Host + "/crio": requirement}})
}

// crictl pulls an image for a pod of a namespace, as the kubelet does. The pull is refused with a text, or allowed if
// that is empty. A changed policy takes effect after a short time.
func (s *session) crictl(t *testing.T, image node.Pushed, namespace, refusal string) {
	t.Helper()
	config := s.Path("sandbox.json")
	contents := rig.Must(json.Marshal(map[string]any{
		"metadata": map[string]string{"name": "sandbox", "namespace": namespace, "uid": "1"},
	}))(t)
	rig.OK(t, os.WriteFile(config, contents, 0o600))
	// Without a configuration of its own, crictl warns that there is none.
	own := s.Path("crictl.yaml")
	rig.OK(t, os.WriteFile(own, nil, 0o600))
	arguments := []string{
		"--config", own, "--runtime-endpoint", "unix://" + s.ContainerdSocket(),
		"--image-endpoint", "unix://" + s.Path("cri.sock"),
		"pull", "--pod-config", config, image.Reference,
	}
	var said string
	rig.Eventually(t, "the pull to end as announced", func() error {
		output, err := exec.CommandContext(t.Context(), s.cluster.Program("crictl"), arguments...).CombinedOutput()
		said = strings.TrimSpace(string(output))
		if refusal == "" {
			return err
		}
		if err == nil || !strings.Contains(said, "SignatureValidationFailed: ") || !strings.Contains(said, refusal) {
			return errors.Join(err, fmt.Errorf("crictl says %q", said))
		}
		return nil
	})
	fmt.Fprintf(s.out, "$ crictl pull --pod-config %s %s\n%s\n", filepath.Base(config), image.Reference, said)
}

// kubectl prints a command and its output.
func (s *session) kubectl(t *testing.T, arguments ...string) {
	t.Helper()
	text := rig.Must(s.cluster.Kubectl(context.WithoutCancel(t.Context()), arguments...))(t)
	fmt.Fprintf(s.out, "$ kubectl %s\n%s\n", strings.Join(arguments, " "), text)
}
