package cri

import (
	"cmp"
	"context"
	"fmt"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Container is a running container.
type Container struct {
	ID string
	// Namespace and Pod are the pod's, and App is its label app.kubernetes.io/name.
	Namespace, Pod, App string
	// Reference is the image as the pod's author wrote it, and Config the digest of the image's config.
	Reference, Config string
	// Kubelet reports whether the kubelet created it, and Written whether it reported what the pod's author wrote.
	Kubelet, Written bool
	// Created is when it was created.
	Created time.Time
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
		written := container.GetImage().GetUserSpecifiedImage()
		running = append(running, Container{
			ID: container.GetId(), Namespace: pod.GetMetadata().GetNamespace(), Pod: pod.GetMetadata().GetName(),
			App: pod.GetLabels()["app.kubernetes.io/name"], Reference: cmp.Or(written, container.GetImage().GetImage()),
			Config: container.GetImageRef(), Kubelet: container.GetLabels()["io.kubernetes.container.name"] != "",
			Written: written != "", Created: time.Unix(0, container.GetCreatedAt()),
		})
	}
	return running, nil
}
