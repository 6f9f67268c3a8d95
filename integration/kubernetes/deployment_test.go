package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

const deployment = "shop"

// rollOver has a Deployment roll over from a signed image to an unsigned one: the old pod goes on running, and the new
// one does not start. The next signed image replaces both. It returns the status with which the refused pod is shown.
func (l *lab) rollOver(t *testing.T, signed node.Pushed) (status string) {
	t.Helper()
	l.deploy(t, signed)
	old := l.podOf(t, signed)
	l.wantRunning(t, prod, old)

	unsigned := l.Push(t, "shop/rollover:v2")
	l.deploy(t, unsigned)
	status = l.refused(t, l.podOf(t, unsigned), "SignatureValidationFailed")
	l.wantRunning(t, prod, old)
	available := rig.Must(l.cluster.Kubectl(t.Context(), "-n", prod, "get", "deployment", deployment, "-o",
		"jsonpath={.status.availableReplicas} {.status.unavailableReplicas}"))(t)
	if available != "1 1" {
		t.Errorf("pods of the deployment that are available and unavailable: %s", available)
	}

	next := l.signed(t, "shop/rollover:v3")
	l.deploy(t, next)
	l.wantRunning(t, prod, l.podOf(t, next))
	for _, image := range []node.Pushed{signed, unsigned} {
		l.await(t, prod, old, "be replaced", func(ctx context.Context) error {
			if pods, err := l.podsOf(ctx, image); err != nil || pods != nil {
				return errors.Join(err, fmt.Errorf("there still is %q", pods))
			}
			return nil
		})
	}
	rig.Must(l.cluster.Kubectl(t.Context(), "-n", prod, "delete", "deployment", deployment, "--wait=false"))(t)
	return status
}

// deploy applies a Deployment of one pod, which must be available before it replaces an older one.
func (l *lab) deploy(t *testing.T, image node.Pushed) {
	t.Helper()
	labels := kubernetes.Object{"app": deployment}
	rig.OK(t, l.cluster.Apply(t.Context(), kubernetes.Object{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": kubernetes.Object{"namespace": prod, "name": deployment},
		"spec": kubernetes.Object{
			"selector": kubernetes.Object{"matchLabels": labels},
			"strategy": kubernetes.Object{"rollingUpdate": kubernetes.Object{"maxUnavailable": 0, "maxSurge": 1}},
			"template": kubernetes.Object{
				"metadata": kubernetes.Object{"labels": labels},
				"spec":     kubernetes.Pod(prod, "", image.Reference, nil)["spec"],
			},
		},
	}))
}

// podOf waits for the Deployment's pod of an image, and returns its name.
func (l *lab) podOf(t *testing.T, image node.Pushed) (name string) {
	t.Helper()
	rig.OK(t, node.Until(t.Context(), "a pod of "+image.Reference, func(ctx context.Context) error {
		pods, err := l.podsOf(ctx, image)
		if err != nil || len(pods) != 1 {
			return errors.Join(err, fmt.Errorf("there are %q", pods))
		}
		name = pods[0]
		return nil
	}))
	return name
}

// podsOf returns the names of the Deployment's pods of an image.
func (l *lab) podsOf(ctx context.Context, image node.Pushed) (names []string, err error) {
	text, err := l.cluster.Kubectl(ctx, "-n", prod, "get", "pods", "-l", "app="+deployment, "-o",
		`jsonpath={range .items[*]}{.metadata.name}={.spec.containers[0].image}{"\n"}{end}`)
	for line := range strings.Lines(text) {
		if name, of, _ := strings.Cut(strings.TrimSpace(line), "="); of == image.Reference {
			names = append(names, name)
		}
	}
	return names, err
}
