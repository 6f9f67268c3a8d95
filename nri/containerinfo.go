package nri

import (
	"github.com/containerd/nri/pkg/api"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// imageNameAnnotation has the image reference that the pod's author wrote: containerd sets it to the CRI's
// user_specified_image, which the kubelet sends since 1.28, and no pod annotation can override it (containerd 2.4.2,
// internal/cri/server/container_create.go).
const imageNameAnnotation = "io.kubernetes.cri.image-name"

// ContainerInfo is what containerd reports about a container that is about to be created or already runs.
type ContainerInfo struct {
	// Namespace, Pod and PodUID are the pod's, as Kubernetes names it.
	Namespace, Pod, PodUID string
	// Sandbox and ID are containerd's identifiers of the pod and the container.
	Sandbox, ID string
	// Name is the container's name in its pod.
	Name string
	// Reference is the image reference that the pod's author wrote.
	Reference string
	// Config is the digest of the configuration that, by containerd's report, the container runs. If containerd reports
	// none, it is that of the image that the verdict is about.
	Config digest.Digest
	// FoundBy is how the image is identified.
	FoundBy policy.FoundBy
	// Mounts are all its mounts.
	Mounts []Mount
	// Labels are those of the kubelet and of the image.
	Labels map[string]string
}

// Mount is a mount's path on the node and in the container.
type Mount struct{ Source, Destination string }

// NewContainerInfo reads a container from an NRI request. It validates nothing: a missing value results in an empty
// field, and an empty field denies.
func NewContainerInfo(pod *api.PodSandbox, container *api.Container) ContainerInfo {
	info := ContainerInfo{
		Namespace: pod.GetNamespace(),
		Pod:       pod.GetName(),
		PodUID:    pod.GetUid(),
		Sandbox:   pod.GetId(),
		ID:        container.GetId(),
		Name:      container.GetName(),
		Reference: container.GetAnnotations()[imageNameAnnotation],
		Config:    digest.Digest(container.GetImage().GetConfigDigest()),
		Labels:    container.GetLabels(),
	}
	if info.Config != "" {
		info.FoundBy = policy.FoundByConfig
	}
	for _, mount := range container.GetMounts() {
		info.Mounts = append(info.Mounts, Mount{mount.GetSource(), mount.GetDestination()})
	}
	return info
}

// container is what identifies it to [Handler.Content].
func (c ContainerInfo) container() policy.Container {
	return policy.Container{ID: c.ID, Config: c.Config, Reference: c.Reference, Labels: c.Labels}
}

// Question is what is asked of the policy about the container's own image.
func (c ContainerInfo) Question() policy.Question { return c.question(c.Config) }

// question is the same if the container's image has the given config.
func (c ContainerInfo) question(config digest.Digest) policy.Question {
	return policy.Question{Namespace: c.Namespace, Reference: c.Reference, Config: config}
}

// check refuses a container that cannot be identified. Without a config digest, its layers must be able to identify it.
func (c ContainerInfo) check() error {
	if c.ID == "" || c.Sandbox == "" {
		return policy.Refuse(policy.BadRequest, "containerd reported no ID of the container or of its pod")
	}
	if c.FoundBy == policy.FoundByLayers {
		return c.Question().ValidateReference()
	}
	return c.Question().Validate()
}
