package keyless

import (
	"maps"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/policy/bundle/bundletest"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// Actions is what workflows need to sign images: an authority like Fulcio, and a log for each format.
type Actions struct {
	authority *signaturetest.Sigstore
	log       *bundletest.Sigstore
}

// NewActions creates an authority and logs with new keys.
func NewActions(t testing.TB) *Actions {
	t.Helper()
	return &Actions{signaturetest.NewSigstore(t), bundletest.NewSigstore(t)}
}

// Requirement returns a requirement for a signature by a signer that the fields of "fulcio" identify, made for the
// image's repository.
func (a *Actions) Requirement(t testing.TB, identity map[string]any) map[string]any {
	t.Helper()
	fulcio := map[string]any{
		"caData":     append(append([]byte{}, a.authority.Intermediate.PEM...), a.authority.Root.PEM...),
		"oidcIssuer": signaturetest.GitHub,
	}
	maps.Copy(fulcio, identity)
	return map[string]any{
		"type": "sigstoreSigned", "fulcio": fulcio, "signedIdentity": map[string]any{"type": "matchRepository"},
		"rekorPublicKeyDatas": [][]byte{a.log.LogPEM(t), signaturetest.PublicPEM(t, a.authority.Log.Public())},
	}
}

// Sign signs an image as a workflow, in the old format.
func (a *Actions) Sign(
	t testing.TB, registry *node.Registry, image node.Pushed, workflow signaturetest.Workflow,
) {
	t.Helper()
	signature := a.authority.SignWorkflow(t, workflow, image.Repository, image.Digest)
	if err := Attach(t.Context(), registry, image, signature); err != nil {
		t.Fatal(err)
	}
}

// SignBundle signs an image as a workflow, in the format of cosign 3.
func (a *Actions) SignBundle(
	t testing.TB, registry *node.Registry, image node.Pushed, workflow signaturetest.Workflow,
) {
	t.Helper()
	issued := time.Now().Add(-time.Hour)
	signer := signaturetest.IssueExtensions(
		t, a.authority.Intermediate, issued, issued.Add(10*time.Minute), workflow.Extensions(t))
	bundle := bundletest.Sign(t, bundletest.KeyOf(t, signer.Key), image.Digest, image.Repository).
		Certified(signer.Certificate)
	a.log.Record(t, bundle, signer.PEM, issued.Add(time.Minute))
	if err := AttachBundle(t.Context(), registry, image, bundle.JSON(t)); err != nil {
		t.Fatal(err)
	}
}
