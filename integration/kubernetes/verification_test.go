package kubernetes_test

import (
	"fmt"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestImagesOfOthersUnderEachVerificationPolicy: the kubelet decides by its imagePullCredentialsVerificationPolicy
// whether a pod may use an image that is on the node already (KEP-2535). Whatever it decides, an unsigned image runs in
// no namespace that requires a signature. The table of docs/kubernetes.md shows what a user sees.
func TestImagesOfOthersUnderEachVerificationPolicy(t *testing.T) {
	for _, on := range releases() {
		t.Run(on.name(), on.verificationPolicies)
	}
}

func (on release) verificationPolicies(t *testing.T) {
	t.Parallel()
	l := newLab(t, labConfig{Containerd: node.Release(on), Registry: protected()})
	open := l.With(node.NewRegistry(t, l.Distribution()))
	l.Write(t, prod, node.Policy{Scopes: l.shop(l.Registry, open.Registry)})
	for _, namespace := range []string{dev, prod} {
		l.secret(t, namespace, "good", string(l.Registry.DockerConfig()))
	}
	refused := func(image node.Pushed, spec kubernetes.Object) string {
		// The node has no credentials, so the reason may also be that the signatures cannot be fetched.
		return l.wantStatus(t, prod, l.run(t, prod, image, spec), "SignatureValidationFailed: ",
			"CreateContainerError", "SignatureValidationFailed")
	}
	policies := []string{"NeverVerifyPreloadedImages", "AlwaysVerify", "NeverVerify"}
	shown := table{"unsigned image on the node, imagePullPolicy IfNotPresent": policies}
	for _, policy := range policies {
		rig.OK(t, l.cluster.RestartKubelet(t.Context(), map[string]any{
			"imagePullCredentialsVerificationPolicy": policy,
		}))
		note := func(row, status string) { shown[row] = append(shown[row], "`"+status+"`") }
		fresh := func(r *rig.Rig) node.Pushed { return r.Push(t, fmt.Sprintf("shop/other-%d:v1", l.Number())) }

		loaded := fresh(open)
		open.Pull(t, loaded)
		note("not pulled by the kubelet", refused(loaded, nil))

		public := fresh(open)
		l.wantRunning(t, dev, l.run(t, dev, public, nil))
		note("pulled by another namespace, without credentials", refused(public, nil))

		private := fresh(l.Rig)
		l.wantRunning(t, dev, l.run(t, dev, private, withSecrets("good")))
		note("pulled by another namespace, with the same credentials", refused(private, withSecrets("good")))
		const row = "pulled by another namespace, with credentials that the pod does not have"
		if policy == "NeverVerify" {
			note(row, refused(private, nil))
		} else {
			note(row, l.wantAnswerOfTheRegistry(t, l.run(t, prod, private, nil)))
		}

		// The kubelet does not pull it for the second pod: its signatures were fetched with the credentials of the first.
		signed := l.signed(t, fmt.Sprintf("shop/signed-%d:v1", l.Number()))
		l.wantRunning(t, dev, l.run(t, dev, signed, withSecrets("good")))
		l.wantRunning(t, prod, l.run(t, prod, signed, withSecrets("good")))
	}
	shown.wantIn(t, "verification")
}
