package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// machine is a node of the cluster: a container of Docker.
type machine struct {
	name string
	// step is the label of the pods that are created there.
	step string
	cri  *node.CRI
	// sandbox is the one of a pod in which containers are tried without the kubelet.
	sandbox *cri.PodSandbox
	// unsigned is the ID of the unsigned image.
	unsigned string
}

func openNodes(ctx context.Context, cluster string) ([]*machine, error) {
	text, err := output(ctx, "kind", "get", "nodes", "--name", cluster)
	if err != nil {
		return nil, err
	}
	var nodes []*machine
	for _, name := range lines(text) {
		pid, err := output(ctx, "docker", "inspect", "--format", "{{.State.Pid}}", name)
		if err != nil {
			return nil, errors.Join(err, closeNodes(nodes))
		}
		client, err := node.ConnectCRI(filepath.Join("/proc", pid, "root/run/containerd/containerd.sock"))
		if err != nil {
			return nil, errors.Join(err, closeNodes(nodes))
		}
		nodes = append(nodes, &machine{name: name, cri: client})
	}
	return nodes, nil
}

func closeNodes(nodes []*machine) (failed error) {
	for _, node := range nodes {
		failed = errors.Join(failed, node.cri.Close())
	}
	return failed
}

// run runs a program on the node and returns its output.
func (m *machine) run(ctx context.Context, program string, arguments ...string) (string, error) {
	return output(ctx, "docker", append([]string{"exec", m.name, program}, arguments...)...)
}

// prepare starts the pod in whose sandbox containers are tried.
func (m *machine) prepare(ctx context.Context, images images) (err error) {
	name := "probe-on-" + m.name
	if err := create(ctx, images.pod(name, "probe", m.name, signed)); err != nil {
		return err
	}
	_, err = output(ctx, "kubectl", "--namespace", prod, "wait", "--for=condition=Ready", "--timeout=5m", "pod/"+name)
	if err != nil {
		return err
	}
	if m.unsigned, err = m.cri.ImageID(ctx, images.reference(unsigned)); err != nil {
		return err
	}
	answer, err := m.cri.Runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{Filter: &cri.PodSandboxFilter{
		State:         &cri.PodSandboxStateValue{State: cri.PodSandboxState_SANDBOX_READY},
		LabelSelector: map[string]string{podLabel: name, namespaceLabel: prod},
	}})
	if err != nil {
		return err
	}
	if len(answer.GetItems()) != 1 || m.unsigned == "" {
		return fmt.Errorf("there are %d sandboxes of %s, and the unsigned image is %q", len(answer.GetItems()), name,
			m.unsigned)
	}
	m.sandbox = answer.GetItems()[0]
	return nil
}

// The labels with which the kubelet names the pod of a container (k8s.io/kubernetes, pkg/kubelet/types).
const (
	podLabel       = "io.kubernetes.pod.name"
	namespaceLabel = "io.kubernetes.pod.namespace"
)

// attempt asks containerd for one container of the unsigned image, as the kubelet would. It returns the refusal; nil:
// it was created.
func (m *machine) attempt(ctx context.Context, image string, number uint32) error {
	created, err := m.cri.Runtime.CreateContainer(ctx, &cri.CreateContainerRequest{
		PodSandboxId: m.sandbox.GetId(),
		SandboxConfig: &cri.PodSandboxConfig{
			Metadata: m.sandbox.GetMetadata(), Labels: m.sandbox.GetLabels(), Linux: &cri.LinuxPodSandboxConfig{},
		},
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "probe", Attempt: number},
			Image:    &cri.ImageSpec{Image: m.unsigned, UserSpecifiedImage: image},
		},
	})
	if err != nil {
		return err
	}
	// That it exists is the failure that counts.
	_, _ = m.cri.Runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: created.GetContainerId()})
	return nil
}

// starts returns how often systemd has started the daemon since a time.
func (m *machine) starts(ctx context.Context, begin time.Time) (int, error) {
	const started = "39f53479d3a045ac8e11786248231fbf" // SD_MESSAGE_UNIT_STARTED of sd-messages.h.
	text, err := m.run(ctx, "journalctl", "--quiet", "--since", since(begin), "--output", "cat", "MESSAGE_ID="+started,
		"UNIT=countersign.service")
	return len(lines(text)), err
}

// decision is what the daemon logs of a container.
type decision struct {
	Message   string `json:"msg"`
	Outcome   string `json:"outcome"`
	Namespace string `json:"namespace"`
	Reference string `json:"reference"`
	Container string `json:"container_id"`
}

func (m *machine) decisions(ctx context.Context, begin time.Time) (decisions []decision, err error) {
	text, err := m.run(ctx, "journalctl", "--quiet", "--since", since(begin), "--output", "cat", "--unit", "countersign")
	for _, line := range lines(text) {
		var d decision
		if json.Unmarshal([]byte(line), &d) == nil && d.Message == "decision" && d.Namespace == prod {
			decisions = append(decisions, d)
		}
	}
	return decisions, err
}

// killInstaller kills the command that the installer runs on the node, once, as soon as it runs.
func (m *machine) killInstaller(ctx context.Context, stop <-chan struct{}) error {
	// pkill is of the node: it sees the processes of the node only.
	const command = `/var/lib/countersign-installer/countersign install`
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := m.run(ctx, "pkill", "--signal", "KILL", "--full", "^"+command); err == nil {
			return nil
		}
		select {
		case <-stop:
			return errors.New("no installer ran on " + m.name)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// untilBothWait waits until two pods with both images that are created there are refused because the daemon does not
// run.
func (m *machine) untilBothWait(ctx context.Context) error {
	return node.Until(ctx, "refusals while the daemon does not run on "+m.name, func(ctx context.Context) error {
		pods, err := podsOf(ctx, m.step)
		if err != nil {
			return err
		}
		waiting := map[string]bool{}
		for _, pod := range pods {
			if pod.Spec.NodeName == m.name && strings.Contains(pod.waits(), absent) {
				waiting[pod.Metadata.Labels["image"]] = true
			}
		}
		if !waiting[signed] || !waiting[unsigned] {
			return fmt.Errorf("refused: %v", waiting)
		}
		return nil
	})
}

// output runs a program and returns its output. Its error has what the program prints.
func output(ctx context.Context, program string, arguments ...string) (string, error) {
	return feed(ctx, nil, program, arguments...)
}

func feed(ctx context.Context, input []byte, program string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, program, arguments...)
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &stdout, &stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", program, strings.Join(arguments, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}
