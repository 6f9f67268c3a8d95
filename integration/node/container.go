package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Labels and annotations that every kubelet sets.
const (
	labelPodName       = "io.kubernetes.pod.name"
	labelPodNamespace  = "io.kubernetes.pod.namespace"
	labelPodUID        = "io.kubernetes.pod.uid"
	labelContainerName = "io.kubernetes.container.name"
)

// sandboxConfig returns the sandbox config that the kubelet sends for a pod with hostNetwork, or for one in a user
// namespace.
func (n *Node) sandboxConfig(pod Pod, uid, logs string) *cri.PodSandboxConfig {
	annotations := map[string]string{"kubernetes.io/config.source": "api"}
	maps.Copy(annotations, pod.Annotations)
	return &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: pod.Name, Namespace: pod.Namespace, Uid: uid},
		LogDirectory: logs,
		Labels:       map[string]string{labelPodName: pod.Name, labelPodNamespace: pod.Namespace, labelPodUID: uid},
		Annotations:  annotations,
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent:    n.CgroupParent(),
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: pod.namespaces()},
		},
	}
}

// CgroupParent returns the cgroup below which the node's containers run.
func (n *Node) CgroupParent() string { return "/" + cgroupOf(n.directory.path) }

// namespaces returns the namespaces of a pod's sandbox and containers. A user namespace cannot be combined with the
// host's network.
func (p Pod) namespaces() *cri.NamespaceOption {
	if !p.UserNamespace {
		return &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_CONTAINER}
	}
	ids := []*cri.IDMapping{{HostId: firstHostID, Length: 65536}}
	return &cri.NamespaceOption{
		Network: cri.NamespaceMode_POD, Pid: cri.NamespaceMode_CONTAINER,
		UsernsOptions: &cri.UserNamespace{Mode: cri.NamespaceMode_POD, Uids: ids, Gids: ids},
	}
}

// firstHostID is the user and group of the host that are root in a user namespace.
const firstHostID = 100_000

// CreationRequest pulls the images of a container if necessary, and returns the request with which the kubelet then
// creates the container in this pod.
func (p *RunningPod) CreationRequest(ctx context.Context, container Container) (*cri.CreateContainerRequest, error) {
	id, err := p.image(ctx, container.Image, container.Pull)
	if err != nil {
		return nil, err
	}
	mounts, err := p.mounts(ctx, container.Volumes)
	if err != nil {
		return nil, err
	}
	return &cri.CreateContainerRequest{
		PodSandboxId: p.Sandbox, SandboxConfig: p.config, Config: p.containerConfig(container, id, mounts),
	}, nil
}

// createAndStart pulls the images of a container if necessary, and creates and starts the container.
func (p *RunningPod) createAndStart(ctx context.Context, container Container) (string, error) {
	request, err := p.CreationRequest(ctx, container)
	if err != nil {
		return "", err
	}
	created, err := p.node.CRI.Runtime.CreateContainer(ctx, request)
	if err != nil {
		return "", err
	}
	start := &cri.StartContainerRequest{ContainerId: created.GetContainerId()}
	if _, err := p.node.CRI.Runtime.StartContainer(ctx, start); err != nil {
		return "", err
	}
	return created.GetContainerId(), nil
}

// containerConfig returns the container config that the kubelet sends: it has the image's ID, and in addition the
// reference that the author of the pod wrote.
func (p *RunningPod) containerConfig(container Container, image string, mounts []*cri.Mount) *cri.ContainerConfig {
	pod := p.config.GetMetadata()
	return &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: container.Name},
		Image:    &cri.ImageSpec{Image: image, UserSpecifiedImage: container.Image},
		Command:  container.Command,
		Mounts:   mounts,
		LogPath:  logPath(container.Name),
		Labels: map[string]string{
			labelPodName: pod.GetName(), labelPodNamespace: pod.GetNamespace(), labelPodUID: pod.GetUid(),
			labelContainerName: container.Name,
		},
		Annotations: map[string]string{
			"io.kubernetes.container.restartCount":           "0",
			"io.kubernetes.container.terminationMessagePath": "/dev/termination-log",
		},
		Linux: &cri.LinuxContainerConfig{
			Resources:       &cri.LinuxContainerResources{CpuShares: 2},
			SecurityContext: &cri.LinuxContainerSecurityContext{NamespaceOptions: p.Pod.namespaces()},
		},
	}
}

// mounts pulls the images of volumes if necessary. The kubelet sends the image's ID, as for the container's own image.
func (p *RunningPod) mounts(ctx context.Context, volumes []Volume) ([]*cri.Mount, error) {
	var mounts []*cri.Mount
	for _, volume := range volumes {
		id, err := p.image(ctx, volume.Image, volume.Pull)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, &cri.Mount{
			ContainerPath: volume.Path, Readonly: true, ImageSubPath: volume.SubPath,
			Image: &cri.ImageSpec{Image: id, UserSpecifiedImage: volume.Image},
		})
	}
	return mounts, nil
}

func logPath(container string) string { return filepath.Join(container, "0.log") }

// Log returns what a container has written so far, as the kubelet would show it.
func (p *RunningPod) Log(container string) (string, error) {
	contents, err := os.ReadFile(filepath.Join(p.config.GetLogDirectory(), logPath(container)))
	if err != nil {
		return "", fmt.Errorf("reading the log of container %s: %w", container, err)
	}
	var text strings.Builder
	for line := range strings.Lines(string(contents)) {
		// Time, stream, P for a partial or F for a full line, text.
		fields := strings.SplitN(line, " ", 4)
		if len(fields) != 4 {
			continue // The line is not complete yet.
		}
		if fields[2] == "P" {
			fields[3] = strings.TrimSuffix(fields[3], "\n")
		}
		text.WriteString(fields[3])
	}
	return text.String(), nil
}

// Marker waits for the first line that the pod's first container writes: by default, the marker of its root filesystem.
func (p *RunningPod) Marker(ctx context.Context) (string, error) {
	var line string
	err := until(ctx, "container "+p.Pod.Container.Name+" to write a line", func(context.Context) error {
		text, err := p.Log(p.Pod.Container.Name)
		if err != nil {
			return err
		}
		before, _, found := strings.Cut(text, "\n")
		if !found {
			return errors.New("it has not yet")
		}
		line = before
		return nil
	})
	return line, err
}

// Exec runs a command in one of the pod's containers and returns its standard output: "/witness", "print", "/marker"
// prints the marker.
func (p *RunningPod) Exec(ctx context.Context, container string, command ...string) (string, error) {
	return p.node.CRI.Exec(ctx, p.Containers[container], command...)
}
