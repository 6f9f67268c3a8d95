package kubernetes_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestEveryKindOfContainerIsDecidedAbout: whatever has an image in a pod is refused at the pull, and runs if the image is
// signed.
func TestEveryKindOfContainerIsDecidedAbout(t *testing.T) {
	l := newLab(t, node.RegistryConfig{}, kubernetes.Config{})
	signed := l.signed(t, "shop/signed:v1")
	main := kubernetes.Object{"name": "main", "image": signed.Reference}
	kinds := map[string]func(image string) kubernetes.Object{
		"init container": func(image string) kubernetes.Object {
			return kubernetes.Object{"containers": []any{main}, "initContainers": []any{kubernetes.Object{
				"name": "other", "image": image, "command": []string{"/witness", "exit"},
			}}}
		},
		"sidecar": func(image string) kubernetes.Object {
			return kubernetes.Object{"containers": []any{main}, "initContainers": []any{kubernetes.Object{
				"name": "other", "image": image, "restartPolicy": "Always",
			}}}
		},
		"second container": func(image string) kubernetes.Object {
			return kubernetes.Object{"containers": []any{main, kubernetes.Object{"name": "other", "image": image}}}
		},
		"image volume": func(image string) kubernetes.Object {
			return kubernetes.Object{
				"containers": []any{kubernetes.Object{
					"name": "main", "image": signed.Reference,
					"volumeMounts": []any{kubernetes.Object{"name": "data", "mountPath": "/data"}},
				}},
				"volumes": []any{kubernetes.Object{"name": "data", "image": kubernetes.Object{"reference": image}}},
			}
		},
	}
	for name, spec := range kinds {
		t.Run(name, func(t *testing.T) {
			unsigned := l.Push(t, "shop/unsigned-"+filepath.Base(t.TempDir())+":v1")
			pod := l.run(t, prod, unsigned, spec(unsigned.Reference))
			l.wantStatus(t, prod, pod, "requires a signature and none was found (unsigned)",
				"SignatureValidationFailed", "ImagePullBackOff", "Init:SignatureValidationFailed", "Init:ImagePullBackOff")
			if name != "init container" {
				l.wantRunning(t, prod, l.run(t, prod, signed, spec(signed.Reference)))
			}
		})
	}
	t.Run("ephemeral container", func(t *testing.T) {
		pod := l.run(t, prod, signed, nil)
		l.wantRunning(t, prod, pod)
		unsigned := l.Push(t, "shop/debugger:v1")
		rig.Must(l.cluster.Kubectl(t.Context(), "-n", prod, "debug", pod, "--image="+unsigned.Reference, "--container=debugger"))(t)
		l.wantStatus(t, prod, pod, "requires a signature and none was found (unsigned)", "Running")
	})
	t.Run("static pod", func(t *testing.T) {
		unsigned := l.Push(t, "shop/static:v1")
		pod := kubernetes.Pod(prod, "static", unsigned.Reference, nil)
		path := filepath.Join(l.cluster.StaticPodDirectory(), "static.json")
		rig.OK(t, os.WriteFile(path, rig.Must(json.Marshal(pod))(t), 0o600))
		t.Cleanup(func() { _ = os.Remove(path) })
		l.wantStatus(t, prod, "static-"+kubernetes.NodeName, "requires a signature and none was found (unsigned)",
			"SignatureValidationFailed", "ImagePullBackOff")
	})
}
