package cri

import (
	"context"
	"fmt"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Container is a running container.
type Container struct {
	ID string
	// Namespace and Pod are the pod's, and App is its label app.kubernetes.io/name.
	Namespace, Pod, App string
	// Reference is the image as the pod's author wrote it, and Config the digest of the image's config.
	Reference, Config string
}

// Running returns the running containers.
func (c *Client) Running(ctx context.Context) ([]Container, error) {
	pods, err := c.runtime.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	byID := make(map[string]*runtime.PodSandbox)
	for _, pod := range pods.GetItems() {
		byID[pod.GetId()] = pod
	}
	state := &runtime.ContainerStateValue{State: runtime.ContainerState_CONTAINER_RUNNING}
	filter := &runtime.ContainerFilter{State: state}
	list, err := c.runtime.ListContainers(ctx, &runtime.ListContainersRequest{Filter: filter})
	if err != nil {
		return nil, fmt.Errorf("listing containers: %w", err)
	}
	var running []Container
	for _, container := range list.GetContainers() {
		pod := byID[container.GetPodSandboxId()]
		reference := container.GetImage().GetUserSpecifiedImage()
		if reference == "" {
			reference = container.GetImage().GetImage()
		}
		running = append(running, Container{
			ID: container.GetId(), Namespace: pod.GetMetadata().GetNamespace(), Pod: pod.GetMetadata().GetName(),
			App: pod.GetLabels()["app.kubernetes.io/name"], Reference: reference, Config: container.GetImageRef(),
		})
	}
	return running, nil
}
