package main

import (
	"context"
	"fmt"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// pod is a pod with one container.
type pod struct{ image, cgroup string }

// start starts the pod and returns its sandbox.
func (p pod) start(ctx context.Context, runtime cri.RuntimeServiceClient) (string, error) {
	host := &cri.NamespaceOption{Network: cri.NamespaceMode_NODE}
	config := &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: "deadlock", Namespace: "default", Uid: "deadlock"},
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent:    p.cgroup,
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: host},
		},
	}
	sandbox, err := runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: config})
	if err != nil {
		return "", fmt.Errorf("running a sandbox: %w", err)
	}
	id := sandbox.GetPodSandboxId()
	created, err := runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId: id, SandboxConfig: config,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "deadlock"},
			Image:    &cri.ImageSpec{Image: p.image, UserSpecifiedImage: p.image},
			Linux: &cri.LinuxContainerConfig{
				SecurityContext: &cri.LinuxContainerSecurityContext{NamespaceOptions: host},
			},
		},
	})
	if err != nil {
		return id, fmt.Errorf("creating a container: %w", err)
	}
	_, err = runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: created.GetContainerId()})
	if err != nil {
		return id, fmt.Errorf("starting a container: %w", err)
	}
	return id, nil
}
