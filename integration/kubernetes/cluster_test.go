package kubernetes_test

import (
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func TestAPodRunsOnACluster(t *testing.T) {
	tools := kubernetes.NewTools(t)
	w := rig.NewWorkshop(t)
	registry := node.NewRegistry(t, w.Distribution())
	n := node.Start(t, node.Config{Programs: tools.Directory})
	cluster := kubernetes.Start(t, kubernetes.Config{Node: n, Tools: tools})
	image := rig.Must(registry.Push(t.Context(), "app:v1", rig.Must(n.Tools.Image("app"))(t)))(t)
	rig.OK(t, cluster.Apply(t.Context(), kubernetes.Pod("default", "app", image.Reference, nil)))
	err := node.Until(t.Context(), "the pod to run", cluster.Runs("default", "app"))
	if err != nil {
		events, _ := cluster.Events(t.Context(), "default", "app")
		t.Fatalf("%v\n%q", err, events)
	}
}
