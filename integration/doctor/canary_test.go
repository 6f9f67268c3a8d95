package doctor_test

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/client"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy"
)

// left returns everything on the node that canaries could leave: images, content, snapshots, leases, pods and
// containers.
func (l *lab) left(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, list := range [][]string{
		{"images", "ls", "-q"},
		{"content", "ls", "-q"},
		{"snapshots", "ls"},
		{"leases", "ls", "-q"},
		{"containers", "ls", "-q"},
	} {
		output := rig.Must(l.Ctr(t.Context(), list...))(t)
		for line := range strings.Lines(output) {
			found = append(found, list[0]+" "+strings.TrimSpace(line))
		}
	}
	pods := rig.Must(l.CRI.Runtime.ListPodSandbox(t.Context(), &cri.ListPodSandboxRequest{}))(t)
	for _, pod := range pods.GetItems() {
		found = append(found, "pod "+pod.GetId())
	}
	slices.Sort(found)
	return found
}

// nothingLeft waits until the node has only what it had before: containerd collects garbage in the background.
func (l *lab) nothingLeft(t *testing.T, before []string) {
	t.Helper()
	rig.Eventually(t, "nothing to be left", func() error {
		after := l.left(t)
		if slices.Equal(before, after) {
			return nil
		}
		return fmt.Errorf("before: %q\nafter: %q", before, after)
	})
}

func (l *lab) canariesProve(t *testing.T) {
	before := l.left(t)
	found := l.doctor(t)
	if found.status != 0 {
		t.Fatalf("doctor says:\n%s", found.text())
	}
	for _, check := range []string{"canary_refused", "canary_admitted", "canary_removed"} {
		if status, cause, _ := found.of(check); status != "yes" {
			t.Errorf("%s is %q: %s", check, status, cause)
		}
	}
	l.nothingLeft(t, before)
	for _, reason := range []string{"rejected", "accepted"} {
		rig.Must(l.Daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
			return d.Namespace == policy.CanaryNamespace && d.Reason == reason
		}))(t)
	}
}

// killedCanaries kills doctor as soon as it has created something. The next run removes it.
func (l *lab) killedCanaries(t *testing.T) {
	before := l.left(t)
	containerd, err := client.New(l.ContainerdSocket(), client.WithDefaultNamespace("k8s.io"))
	rig.OK(t, err)
	defer containerd.Close()
	for name, created := range map[string]func() bool{
		"when the image has a lease and no name": func() bool {
			held := rig.Must(containerd.LeasesService().List(t.Context(), "id==countersign-canary"))(t)
			return len(held) > 0
		},
		"when the image exists": func() bool {
			return strings.Contains(rig.Must(l.Ctr(t.Context(), "images", "ls", "-q"))(t), policy.CanaryImages)
		},
		"when the pod exists": func() bool {
			list := rig.Must(l.CRI.Runtime.ListPodSandbox(t.Context(), &cri.ListPodSandboxRequest{}))(t)
			return slices.ContainsFunc(list.GetItems(), func(pod *cri.PodSandbox) bool {
				return pod.GetMetadata().GetNamespace() == policy.CanaryNamespace
			})
		},
		"when a container exists": func() bool {
			list := rig.Must(l.CRI.Runtime.ListContainers(t.Context(), &cri.ListContainersRequest{}))(t)
			return slices.ContainsFunc(list.GetContainers(), func(container *cri.Container) bool {
				return container.GetMetadata().GetName() == "canary"
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l.killDoctor(t, created)
			l.well(t)
			l.nothingLeft(t, before)
		})
	}
}

// killDoctor runs doctor until it was killed after a condition was met.
func (l *lab) killDoctor(t *testing.T, created func() bool) {
	t.Helper()
	rig.Eventually(t, "doctor to be killed half-way", func() error {
		command := exec.CommandContext(t.Context(), l.Program, l.arguments()...)
		rig.OK(t, command.Start())
		ended := make(chan error, 1)
		go func() { ended <- command.Wait() }()
		for {
			select {
			case err := <-ended:
				return fmt.Errorf("it ended before: %w", err)
			default:
			}
			if created() {
				rig.OK(t, command.Process.Kill())
				if err := <-ended; err == nil {
					return errors.New("it ended before it was killed")
				}
				return nil
			}
		}
	})
}

// canariesFind breaks enforcement in ways that no file shows.
func (l *lab) canariesFind(t *testing.T) {
	t.Run("in audit mode the canary is refused nevertheless", func(t *testing.T) {
		audit := l.PrepareDaemon(t, node.DaemonConfig{Settings: map[string]map[string]any{"enforce": {"mode": "audit"}}})
		l.replaceDaemon(t, audit, func(found answers) {
			if status, cause, _ := found.of("canary_refused"); status != "yes" {
				t.Errorf("canary_refused is %q: %s", status, cause)
			}
		})
	})
	t.Run("without the daemon nothing is created, and not because of the policy", func(t *testing.T) {
		rig.OK(t, l.Daemon.Terminate(t.Context()))
		found := l.doctor(t)
		for check, want := range map[string]string{
			"canary_refused": "required plugin", "canary_admitted": "required plugin", "daemon": "no daemon listens",
		} {
			if status, cause, remedy := found.of(check); status != "no" || !strings.Contains(cause, want) || remedy == "" {
				t.Errorf("%s is %q: %s", check, status, cause)
			}
		}
		if found.status != 1 {
			t.Errorf("the exit status is %d", found.status)
		}
		l.Start(t)
	})
	t.Run("without the daemon and the list, everything is created", func(t *testing.T) {
		rig.OK(t, l.DropIn("99-zz.toml", validatorSection+"required_plugins = []\n"))
		rig.OK(t, l.RestartContainerd(t.Context()))
		rig.OK(t, l.Daemon.Terminate(t.Context()))
		found := l.doctor(t)
		for check, want := range map[string]string{
			"canary_refused": "created a container that the policy refuses", "required": "without",
		} {
			if status, cause, _ := found.of(check); status != "no" || !strings.Contains(cause, want) {
				t.Errorf("%s is %q: %s", check, status, cause)
			}
		}
		if status, cause, _ := found.of("canary_admitted"); status != "yes" {
			t.Errorf("canary_admitted is %q: %s", status, cause)
		}
		l.removeDropIn(t, "99-zz.toml")
		l.Start(t)
	})
	l.well(t)
}
