package keyless_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/keyless"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// TestImagesOfAWorkflowRun runs images in prod that a workflow has signed on a release tag, in either format, and no
// others.
func TestImagesOfAWorkflowRun(t *testing.T) {
	w := rig.NewWorkshop(t)
	r := w.NewRig(t, node.NewRegistry(t, node.RegistryConfig{InProcess: true}))
	actions := keyless.NewActions(t)
	write := func(namespace string, requirement map[string]any) {
		t.Helper()
		document := rig.Must(json.Marshal(map[string]any{"default": []any{requirement}}))(t)
		rig.OK(t, r.WritePolicy(namespace, string(document)))
	}
	const workflow = `https://github\.com/acme/app/\.github/workflows/release\.yml@refs/`
	write("", map[string]any{"type": "reject"})
	write("prod", actions.Requirement(t, map[string]any{"subjectURIPattern": workflow + `tags/v[0-9.]+`}))
	write("built", actions.Requirement(t, map[string]any{
		"buildSignerURI":    signaturetest.NewWorkflow("acme", "app", "refs/tags/v1").URI(),
		"runnerEnvironment": "github-hosted",
	}))
	write("branch", actions.Requirement(t, map[string]any{
		"subjectURIPattern": workflow + `.*`, "sourceRepositoryRef": "refs/heads/main",
	}))
	r.Daemon = r.PrepareDaemon(t, node.DaemonConfig{})
	r.Start(t)
	otherIssuer := signaturetest.NewWorkflow("acme", "app", "refs/tags/v1")
	otherIssuer.Issuer = "https://issuer.evil.example"
	for format, sign := range map[string]func(
		testing.TB, *node.Registry, node.Pushed, signaturetest.Workflow,
	){"bundle": actions.SignBundle, "old": actions.Sign} {
		for name, test := range map[string]struct {
			by   signaturetest.Workflow
			runs []string
			said string
		}{
			"release":     {signaturetest.NewWorkflow("acme", "app", "refs/tags/v1"), []string{"prod", "built"}, ""},
			"branch":      {signaturetest.NewWorkflow("acme", "app", "refs/heads/main"), []string{"branch"}, "does not match"},
			"fork":        {signaturetest.NewWorkflow("mallory", "app", "refs/tags/v1"), nil, "does not match"},
			"prefix":      {signaturetest.NewWorkflow("acme-evil", "app", "refs/tags/v1"), nil, "does not match"},
			"suffix":      {signaturetest.NewWorkflow("evil-acme", "app", "refs/tags/v1"), nil, "does not match"},
			"otherissuer": {otherIssuer, nil, "the OIDC issuer in its certificate is"},
		} {
			image := r.Push(t, format+"/"+name+":v1")
			sign(t, r.Registry, image, test.by)
			for _, namespace := range []string{"prod", "built", "branch"} {
				if slices.Contains(test.runs, namespace) {
					wantRuns(t, r, namespace, image)
					continue
				}
				refusal := r.Refused(t, namespace, image, "rejected")
				if namespace == "prod" && !strings.Contains(refusal.Detail, test.said) {
					t.Errorf("%s: the record does not contain %q: %s", image.Reference, test.said, refusal.Detail)
				}
			}
		}
	}
	unsigned := r.Push(t, "none/unsigned:v1")
	r.Refused(t, "prod", unsigned, "unsigned")
}

func wantRuns(t *testing.T, r *rig.Rig, namespace string, image node.Pushed) {
	t.Helper()
	pod, err := r.RunPodUntil(t.Context(), r.Pod(namespace, image))
	if err != nil {
		t.Errorf("%s in %s should run: %v", image.Reference, namespace, err)
		return
	}
	defer func() { rig.OK(t, pod.Remove(context.WithoutCancel(t.Context()))) }()
	rig.WantMarker(t, pod, r.Marker(image))
}
