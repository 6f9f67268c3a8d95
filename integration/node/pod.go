package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/distribution/reference"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// PullPolicy is a container's imagePullPolicy. Its zero value is IfNotPresent.
type PullPolicy uint8

// The pull policies of Kubernetes.
const (
	IfNotPresent PullPolicy = iota
	Always
	Never
)

// Container is one container of a pod.
type Container struct {
	// Name is chosen by the author of the pod; the only container of a pod is called main by default.
	Name string
	// Image is the reference exactly as the author of the pod wrote it: name, app:v1, name@sha256:…, sha256:….
	Image   string
	Pull    PullPolicy
	Command []string // Instead of the image's entrypoint.
	Volumes []Volume
}

// Volume is an image mounted into a container, read-only.
type Volume struct {
	Image, Path, SubPath string
	Pull                 PullPolicy
}

// Pod is the pod to run. Container is its first container, More are the others.
type Pod struct {
	Namespace, Name string
	Container
	Init []Container // Run one after the other to completion, before the others.
	More []Container
	// Annotations are the pod's.
	Annotations map[string]string
	// Auth has the credentials for pulls (imagePullSecrets).
	Auth *cri.AuthConfig
	// UserNamespace runs the pod in a user namespace (hostUsers: false), and then not in the host's network.
	UserNamespace bool
}

// RunningPod is a pod that runs or is being started.
type RunningPod struct {
	Pod     Pod
	Sandbox string
	// Containers has the ID of each container by name.
	Containers map[string]string

	node   *Node
	config *cri.PodSandboxConfig
}

// RunPod does for a pod what a kubelet does: it creates the sandbox, and for each container in order pulls missing
// images, and creates and starts the container. It returns errors of the CRI unchanged, after it has removed the
// sandbox.
func (n *Node) RunPod(ctx context.Context, pod Pod) (*RunningPod, error) {
	running, err := n.begin(pod)
	if err != nil {
		return nil, err
	}
	if err := running.sync(ctx); err != nil {
		running.abandon()
		return nil, err
	}
	return running, nil
}

// RunPodUntil is RunPod that retries in the same sandbox as long as the error ends in "(pending)", as a kubelet does.
// When the context ends, or after a minute, it returns the last such error.
func (n *Node) RunPodUntil(ctx context.Context, pod Pod) (*RunningPod, error) {
	waiting, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	running, err := n.begin(pod)
	if err != nil {
		return nil, err
	}
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		err := running.sync(ctx)
		if err == nil {
			return running, nil
		}
		if !strings.Contains(err.Error(), "(pending)") {
			running.abandon()
			return nil, err
		}
		select {
		case <-waiting.Done():
			running.abandon()
			return nil, err
		case <-again.C:
		}
	}
}

// begin makes the sandbox config of a pod, and a directory for its logs.
func (n *Node) begin(pod Pod) (*RunningPod, error) {
	uid := rand.Text()
	if pod.Name == "" {
		pod.Name = "pod-" + strings.ToLower(uid[:8])
	}
	if pod.Container.Name == "" {
		pod.Container.Name = "main"
	}
	logs := n.Path("pods", uid)
	for _, container := range pod.containers() {
		if err := os.MkdirAll(filepath.Join(logs, container.Name), 0o700); err != nil {
			return nil, fmt.Errorf("preparing a pod: %w", err)
		}
	}
	return &RunningPod{
		Pod: pod, Containers: make(map[string]string), node: n, config: n.sandboxConfig(pod, uid, logs),
	}, nil
}

func (p Pod) containers() []Container {
	return append(append(append([]Container(nil), p.Init...), p.Container), p.More...)
}

// sync does the remaining steps of the pod.
func (p *RunningPod) sync(ctx context.Context) error {
	if p.Sandbox == "" {
		answer, err := p.node.CRI.Runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: p.config})
		if err != nil {
			return err
		}
		p.Sandbox = answer.GetPodSandboxId()
	}
	for i, container := range p.Pod.containers() {
		if p.Containers[container.Name] != "" {
			continue
		}
		id, err := p.createAndStart(ctx, container)
		if err != nil {
			return err
		}
		p.Containers[container.Name] = id
		if i >= len(p.Pod.Init) {
			continue
		}
		if code, err := p.node.CRI.WaitForExit(ctx, id); err != nil || code != 0 {
			return fmt.Errorf("init container %s: exit code %d: %w", container.Name, code, err)
		}
	}
	return nil
}

// image returns the ID of an image and pulls it if necessary, as the kubelet's image manager does: a name without tag
// and digest gets the tag latest, and is not completed otherwise.
func (p *RunningPod) image(ctx context.Context, written string, pull PullPolicy) (string, error) {
	named, err := reference.ParseNormalizedNamed(written)
	if err != nil {
		return "", fmt.Errorf("InvalidImageName: %q: %w", written, err)
	}
	asked := written
	if reference.IsNameOnly(named) {
		asked += ":latest"
	}
	if pull != Always {
		id, err := p.node.CRI.ImageID(ctx, asked)
		if err != nil || id != "" {
			return id, err
		}
	}
	if pull == Never {
		return "", fmt.Errorf("ErrImageNeverPull: %q is not present", written)
	}
	return p.node.CRI.PullImage(ctx, asked, p.Pod.Auth, p.config)
}

// abandon removes what was created of a failed pod. Its errors are dropped, because the caller needs the pod's own
// error.
func (p *RunningPod) abandon() {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	_ = p.Remove(ctx)
}

// Remove stops and removes the pod.
func (p *RunningPod) Remove(ctx context.Context) error {
	if p.Sandbox == "" {
		return nil
	}
	return p.node.CRI.RemoveSandbox(ctx, p.Sandbox)
}
