package containerd

import (
	"context"
	"encoding/json"
	"fmt"

	tasks "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
)

// Container is a running container of a pod.
type Container struct {
	ID, Sandbox            string
	Namespace, Pod, PodUID string
	Name                   string
	// Reference is the image as the pod's author wrote it.
	Reference string
	Labels    map[string]string
	Mounts    []Mount
}

// Mount is a mount's path on the node and in the container.
type Mount struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
}

// onlyContainers selects the containers of pods, without the pods' sandboxes (containerd 2.2 to 2.4:
// internal/cri/labels).
const onlyContainers = `labels."io.cri-containerd.kind"==container`

// Running returns the running containers of pods, with what the CRI plugin has put into their records: no annotation of
// a pod can replace that (containerd 2.2 to 2.4: internal/cri/annotations).
func Running(ctx context.Context, connection *client.Client) ([]Container, error) {
	listed, err := connection.ContainerService().List(ctx, onlyContainers)
	if err != nil {
		return nil, fmt.Errorf("listing containers: %w", err)
	}
	found, err := connection.TaskService().List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return nil, fmt.Errorf("listing the tasks of containers: %w", err)
	}
	runs := make(map[string]bool, len(found.GetTasks()))
	for _, process := range found.GetTasks() {
		switch process.GetStatus() {
		case task.Status_RUNNING, task.Status_PAUSED, task.Status_PAUSING:
			runs[process.GetID()] = true
		default:
		}
	}
	var running []Container
	for _, record := range listed {
		if !runs[record.ID] {
			continue
		}
		container, err := readContainer(record)
		if err != nil {
			return nil, fmt.Errorf("reading the record of container %s: %w", record.ID, err)
		}
		running = append(running, container)
	}
	return running, nil
}

func readContainer(record containers.Container) (Container, error) {
	var spec struct {
		Annotations map[string]string `json:"annotations"`
		Mounts      []Mount           `json:"mounts"`
	}
	if err := json.Unmarshal(record.Spec.GetValue(), &spec); err != nil {
		return Container{}, err
	}
	of := func(name string) string { return spec.Annotations["io.kubernetes.cri."+name] }
	return Container{
		ID: record.ID, Sandbox: of("sandbox-id"),
		Namespace: of("sandbox-namespace"), Pod: of("sandbox-name"), PodUID: of("sandbox-uid"),
		Name: of("container-name"), Reference: of("image-name"), Labels: record.Labels, Mounts: spec.Mounts,
	}, nil
}
