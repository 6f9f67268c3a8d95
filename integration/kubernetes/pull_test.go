package kubernetes_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestTheKubeletShowsWhatThePolicyOfANamespaceRefuses is what a user of CRI-O sees, on containerd.
func TestTheKubeletShowsWhatThePolicyOfANamespaceRefuses(t *testing.T) {
	for _, on := range releases() {
		t.Run(on.name(), on.refusals)
	}
}

func (on release) refusals(t *testing.T) {
	t.Parallel()
	l := newLab(t, labConfig{Containerd: node.Release(on)})
	unsigned := l.Push(t, "shop/unsigned:v1")

	t.Run("an unsigned image is refused at the pull", func(t *testing.T) {
		pod := l.run(t, prod, unsigned, nil)
		refusal := "SignatureValidationFailed: " + unsigned.Reference +
			`: the policy of namespace "prod" requires a signature and none was found (unsigned)`
		// Between two attempts, the kubelet shows the status ImagePullBackOff with the same message.
		l.wantStatus(t, prod, pod, strings.TrimPrefix(refusal, "SignatureValidationFailed: "), "SignatureValidationFailed")
		events := rig.Must(l.cluster.Events(t.Context(), prod, pod))(t)
		if !strings.Contains(strings.Join(events, "\n"), refusal) ||
			!strings.Contains(strings.Join(events, "\n"), "Failed: Error: SignatureValidationFailed") {
			t.Errorf("events:\n%s", strings.Join(events, "\n"))
		}
		if id := rig.Must(l.CRI.ImageID(t.Context(), unsigned.Reference))(t); id != "" {
			t.Error("the image was pulled")
		}
	})
	t.Run("it runs where nothing is required", func(t *testing.T) {
		l.wantRunning(t, dev, l.run(t, dev, unsigned, nil))
	})
	t.Run("that another namespace has pulled it does not let it run", func(t *testing.T) {
		pod := l.run(t, prod, unsigned, nil)
		l.wantStatus(t, prod, pod, "SignatureValidationFailed: "+unsigned.Reference, "CreateContainerError")
	})
	t.Run("with imagePullPolicy Always it is refused at the pull again", func(t *testing.T) {
		pod := l.run(t, prod, unsigned, kubernetes.Object{"containers": []any{kubernetes.Object{
			"name": "main", "image": unsigned.Reference, "imagePullPolicy": "Always",
		}}})
		l.wantStatus(t, prod, pod, `the policy of namespace "prod"`, "SignatureValidationFailed")
	})
	t.Run("a signed image runs", func(t *testing.T) {
		l.wantRunning(t, prod, l.run(t, prod, l.signed(t, "shop/signed:v1"), nil))
	})
	t.Run("a namespace without a policy has the system policy", func(t *testing.T) {
		l.wantRunning(t, "default", l.run(t, "default", unsigned, nil))
	})
}
