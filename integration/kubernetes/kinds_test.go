package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestStatusOfEachKindOfContainer: every container of a pod is refused at the pull, and runs if the image is signed.
// The table of docs/kubernetes.md shows what a user sees.
func TestStatusOfEachKindOfContainer(t *testing.T) {
	for _, on := range releases() {
		t.Run(on.name(), on.kindsOfContainers)
	}
}

func (on release) kindsOfContainers(t *testing.T) {
	t.Parallel()
	l := newLab(t, labConfig{
		Containerd: node.Release(on), Controllers: []string{"deployment-controller", "replicaset-controller"},
	})
	signed := l.signed(t, "shop/signed:v1")
	shown := table{"container": {"STATUS"}}
	note := func(row, status string) { shown[row] = []string{"`" + status + "`"} }
	for name, spec := range kinds(signed.Reference) {
		unsigned := l.Push(t, fmt.Sprintf("shop/unsigned-%d:v1", l.Number()))
		pod := l.run(t, prod, unsigned, spec(unsigned.Reference))
		note(name, l.refused(t, pod, "SignatureValidationFailed", "Init:SignatureValidationFailed"))
		if name != "init container" {
			l.wantRunning(t, prod, l.run(t, prod, signed, spec(signed.Reference)))
		}
	}
	note("ephemeral container", l.debug(t, signed))
	note("static pod", l.static(t))
	note("new pod of a Deployment that rolls over", l.rollOver(t, signed))
	cached := l.Push(t, "shop/cached:v1")
	l.wantRunning(t, dev, l.run(t, dev, cached, nil))
	for _, pull := range []string{"Always", "IfNotPresent", "Never"} {
		pod := l.run(t, prod, cached, kubernetes.Object{"containers": []any{kubernetes.Object{
			"name": "main", "image": cached.Reference, "imagePullPolicy": pull,
		}}})
		note("image of another namespace, imagePullPolicy "+pull, l.refused(t, pod,
			"SignatureValidationFailed", "CreateContainerError"))
	}
	shown.wantIn(t, "kinds")
}

// kinds returns pods with an image in different places, next to a container that may run.
func kinds(signed string) map[string]func(image string) kubernetes.Object {
	main := kubernetes.Object{"name": "main", "image": signed}
	list := func(container kubernetes.Object) []any { return []any{container} }
	return map[string]func(image string) kubernetes.Object{
		"only container": func(image string) kubernetes.Object {
			return kubernetes.Object{"containers": list(kubernetes.Object{"name": "main", "image": image})}
		},
		"init container": func(image string) kubernetes.Object {
			return kubernetes.Object{"containers": list(main), "initContainers": list(kubernetes.Object{
				"name": "other", "image": image, "command": []string{"/witness", "exit"},
			})}
		},
		"sidecar": func(image string) kubernetes.Object {
			return kubernetes.Object{"containers": list(main), "initContainers": list(kubernetes.Object{
				"name": "other", "image": image, "restartPolicy": "Always",
			})}
		},
		"second container": func(image string) kubernetes.Object {
			return kubernetes.Object{"containers": []any{main, kubernetes.Object{"name": "other", "image": image}}}
		},
		"image volume": func(image string) kubernetes.Object {
			mounted := kubernetes.Object{"name": "data", "mountPath": "/data"}
			return kubernetes.Object{
				"containers": list(kubernetes.Object{"name": "main", "image": signed, "volumeMounts": []any{mounted}}),
				"volumes":    list(kubernetes.Object{"name": "data", "image": kubernetes.Object{"reference": image}}),
			}
		},
	}
}

// refused waits until a pod is refused because its image is unsigned, and returns the status with which it is shown.
func (l *lab) refused(t *testing.T, pod string, statuses ...string) string {
	t.Helper()
	return l.wantStatus(t, prod, pod, "requires a signature and none was found (unsigned)", statuses...)
}

// debug adds an ephemeral container of an unsigned image to a running pod.
func (l *lab) debug(t *testing.T, signed node.Pushed) string {
	t.Helper()
	pod := l.run(t, prod, signed, nil)
	l.wantRunning(t, prod, pod)
	unsigned := l.Push(t, "shop/debugger:v1")
	rig.Must(l.cluster.Kubectl(t.Context(), "-n", prod, "debug", pod,
		"--image="+unsigned.Reference, "--container=debugger"))(t)
	return l.refused(t, pod, "Running")
}

// static runs a static pod of an unsigned image.
func (l *lab) static(t *testing.T) string {
	t.Helper()
	pod := kubernetes.Pod(prod, "static", l.Push(t, "shop/static:v1").Reference, nil)
	path := filepath.Join(l.cluster.StaticPodDirectory(), "static.json")
	rig.OK(t, os.WriteFile(path, rig.Must(json.Marshal(pod))(t), 0o600))
	t.Cleanup(func() { _ = os.Remove(path) })
	return l.refused(t, "static-"+kubernetes.NodeName, "SignatureValidationFailed")
}
