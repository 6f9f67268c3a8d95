package cri

import (
	"context"
	"errors"
	"fmt"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Pod is a pod that somebody else than the kubelet creates, in the network namespace of the host.
type Pod struct {
	Namespace, Name, UID string

	// ID is the ID of its sandbox, which [Client.RunPod] sets.
	ID     string
	config *runtime.PodSandboxConfig
	// containers is how many containers of the pod were tried: each has a name of its own.
	containers uint32
}

// RunPod creates the sandbox of a pod.
func (c *Client) RunPod(ctx context.Context, pod *Pod) error {
	parent, err := c.cgroupParent(ctx)
	if err != nil {
		return err
	}
	pod.config = &runtime.PodSandboxConfig{
		Metadata: &runtime.PodSandboxMetadata{Namespace: pod.Namespace, Name: pod.Name, Uid: pod.UID},
		Linux: &runtime.LinuxPodSandboxConfig{
			CgroupParent:    parent,
			SecurityContext: &runtime.LinuxSandboxSecurityContext{NamespaceOptions: namespaces()},
		},
	}
	answer, err := c.runtime.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: pod.config})
	if err != nil {
		return fmt.Errorf("creating a pod: %w", err)
	}
	pod.ID = answer.GetPodSandboxId()
	return nil
}

func namespaces() *runtime.NamespaceOption {
	return &runtime.NamespaceOption{Network: runtime.NamespaceMode_NODE, Pid: runtime.NamespaceMode_CONTAINER}
}

// cgroupParent returns where the control group of a pod belongs. The driver systemd needs a slice; for the other one
// the root is enough.
func (c *Client) cgroupParent(ctx context.Context) (string, error) {
	config, err := c.runtime.RuntimeConfig(ctx, &runtime.RuntimeConfigRequest{})
	if err != nil {
		return "", fmt.Errorf("requesting containerd's cgroup driver: %w", err)
	}
	if config.GetLinux().GetCgroupDriver() == runtime.CgroupDriver_SYSTEMD {
		return "system.slice", nil
	}
	return "", nil
}

// RunContainer creates and starts a container of a pod. image is the ID of its image, and reference what the author of
// the pod wrote.
func (c *Client) RunContainer(ctx context.Context, pod *Pod, image, reference string) error {
	pod.containers++
	created, err := c.runtime.CreateContainer(ctx, &runtime.CreateContainerRequest{
		PodSandboxId: pod.ID, SandboxConfig: pod.config,
		Config: &runtime.ContainerConfig{
			Metadata: &runtime.ContainerMetadata{Name: pod.Name, Attempt: pod.containers},
			Image:    &runtime.ImageSpec{Image: image, UserSpecifiedImage: reference},
			Linux: &runtime.LinuxContainerConfig{
				SecurityContext: &runtime.LinuxContainerSecurityContext{NamespaceOptions: namespaces()},
			},
		},
	})
	if err != nil {
		return err
	}
	_, err = c.runtime.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: created.GetContainerId()})
	return err
}

// RemovePods removes all pods of a namespace. It removes the containers first: containerd may deadlock if a pod with
// containers is removed while an NRI plugin registers.
func (c *Client) RemovePods(ctx context.Context, namespace string) error {
	pods, err := c.runtime.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("listing pods: %w", err)
	}
	var failed error
	for _, pod := range pods.GetItems() {
		if pod.GetMetadata().GetNamespace() == namespace {
			failed = errors.Join(failed, c.removePod(ctx, pod.GetId()))
		}
	}
	return failed
}

func (c *Client) removePod(ctx context.Context, id string) error {
	list, err := c.runtime.ListContainers(ctx, &runtime.ListContainersRequest{
		Filter: &runtime.ContainerFilter{PodSandboxId: id},
	})
	if err != nil {
		return fmt.Errorf("listing containers: %w", err)
	}
	for _, container := range list.GetContainers() {
		if err := c.removeContainer(ctx, container.GetId()); err != nil {
			return fmt.Errorf("removing container %s: %w", container.GetId(), err)
		}
	}
	if _, err := c.runtime.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("stopping pod %s: %w", id, err)
	}
	if _, err := c.runtime.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: id}); err != nil {
		return fmt.Errorf("removing pod %s: %w", id, err)
	}
	return nil
}

// Limits of [Client.removeContainer].
const (
	removeInterval = 100 * time.Millisecond
	removeTimeout  = 3 * time.Second
)

// removeContainer removes a container, and tries again for a while if containerd refuses: a container that has just
// ended counts as running until containerd has handled the event of its end (containerd v2.4.2, RemoveContainer).
func (c *Client) removeContainer(ctx context.Context, id string) error {
	waiting, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	ticker := time.NewTicker(removeInterval)
	defer ticker.Stop()
	for {
		_, err := c.runtime.RemoveContainer(ctx, &runtime.RemoveContainerRequest{ContainerId: id})
		if err == nil {
			return nil
		}
		select {
		case <-waiting.Done():
			return err
		case <-ticker.C:
		}
	}
}

// ImageID returns the ID of an image; empty: containerd's CRI does not know it.
func (c *Client) ImageID(ctx context.Context, reference string) (string, error) {
	answer, err := c.images.ImageStatus(ctx, &runtime.ImageStatusRequest{Image: &runtime.ImageSpec{Image: reference}})
	if err != nil {
		return "", fmt.Errorf("requesting image %s: %w", reference, err)
	}
	return answer.GetImage().GetId(), nil
}

// RemoveImage removes an image with all its names.
func (c *Client) RemoveImage(ctx context.Context, reference string) error {
	_, err := c.images.RemoveImage(ctx, &runtime.RemoveImageRequest{Image: &runtime.ImageSpec{Image: reference}})
	if err != nil {
		return fmt.Errorf("removing image %s: %w", reference, err)
	}
	return nil
}
