package containerd

import (
	"testing"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/anypb"
)

// TestAContainerIsReadFromTheRecordOfTheCRIPlugin: labels, which the author of a pod can choose, name nothing.
func TestAContainerIsReadFromTheRecordOfTheCRIPlugin(t *testing.T) {
	record := containers.Container{
		ID: "3f2a9c51d07e", Labels: map[string]string{"io.kubernetes.pod.namespace": "kube-system"},
		Spec: &anypb.Any{Value: []byte(`{
			"annotations": {
				"io.kubernetes.cri.sandbox-id": "77aa", "io.kubernetes.cri.sandbox-namespace": "prod",
				"io.kubernetes.cri.sandbox-name": "web-0", "io.kubernetes.cri.sandbox-uid": "u-1",
				"io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.image-name": "registry.example/app:v1"
			},
			"mounts": [{"source": "/run/volume", "destination": "/models", "type": "bind"}]
		}`)},
	}
	got, err := readContainer(record)
	want := Container{
		ID: "3f2a9c51d07e", Sandbox: "77aa", Namespace: "prod", Pod: "web-0", PodUID: "u-1", Name: "app",
		Reference: "registry.example/app:v1", Labels: record.Labels, Mounts: []Mount{{"/run/volume", "/models"}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	record.Spec = &anypb.Any{Value: []byte(`{`)}
	if got, err := readContainer(record); err == nil {
		t.Errorf("a record that is not JSON is read as %+v", got)
	}
}
