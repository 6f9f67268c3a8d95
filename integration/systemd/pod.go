package systemd

import (
	"context"
	"fmt"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// StartPod starts a pod with one container as the kubelet does, and removes the pod. It pulls a missing image.
// Its errors are those of the CRI.
func StartPod(ctx context.Context, client *node.CRI, namespace, image string) (problem error) {
	sandbox := &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: "pod", Namespace: namespace, Uid: "uid"},
		Linux: &cri.LinuxPodSandboxConfig{SecurityContext: &cri.LinuxSandboxSecurityContext{
			NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE},
		}},
	}
	made, err := client.Runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: sandbox})
	if err != nil {
		return fmt.Errorf("the sandbox: %w", err)
	}
	defer func() {
		if err := client.RemoveSandbox(ctx, made.GetPodSandboxId()); problem == nil {
			problem = err
		}
	}()
	id, err := client.ImageID(ctx, image)
	if err == nil && id == "" {
		id, err = client.PullImage(ctx, image, nil, sandbox)
	}
	if err != nil {
		return fmt.Errorf("the image: %w", err)
	}
	created, err := client.Runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId: made.GetPodSandboxId(), SandboxConfig: sandbox,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "main"},
			Image:    &cri.ImageSpec{Image: id, UserSpecifiedImage: image},
		},
	})
	if err != nil {
		return fmt.Errorf("the container: %w", err)
	}
	_, err = client.Runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: created.GetContainerId()})
	return err
}
