package explain_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// drifts changes policies under running containers: those that are refused now are reported, and then stopped.
func (l *lab) drifts(t *testing.T) {
	image := l.Push(t, "drift/web:v1")
	l.require(t, "drifting", node.Accept())
	l.require(t, "audited", node.Accept())
	drifting := l.Begin(t, "drifting", image)
	audited := l.Begin(t, "audited", image)
	l.require(t, "audited", node.Reject())
	l.require(t, "drifting", node.Reject())
	rig.Eventually(t, "status to list the container in drift", func() error {
		return l.statusLists(t, "drifting/"+drifting.Pod.Name)
	})
	rig.Logged(t, l.Daemon, "drift: a container runs that the policy refuses", drifting.Pod.Name)
	if !l.isRunning(t, drifting) {
		t.Error("a container in drift was stopped, and running is report")
	}
	// The pods of other tests run too: an hour's tenth of all of them is one container.

	l.reconfigure(t, map[string]map[string]any{
		"enforce":                    {"running_grace_period": "0s"},
		"enforce.running_namespaces": {"drifting": "stop", "audited": "stop"},
		"enforce.namespaces":         {"audited": "audit"},
	})
	rig.Eventually(t, "the container in drift to be stopped", func() error {
		if l.isRunning(t, drifting) {
			return errors.New("it runs")
		}
		return nil
	})
	rig.Logged(t, l.Daemon, "stopping a container that the policy refuses", drifting.Pod.Name)
	if !l.isRunning(t, audited) {
		t.Error("a container in audit mode was stopped")
	}
	rig.Eventually(t, "the stop to be counted", func() error {
		if got := rig.Must(l.Daemon.Metric(t.Context(), "countersign_containers_stopped_total"))(t); got != 1 {
			return fmt.Errorf("%v containers were stopped, want 1", got)
		}
		return nil
	})
}

// statusLists returns an error unless status lists something, such as a container in drift.
func (l *lab) statusLists(t *testing.T, words string) error {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), l.Program, "status", "--config", l.Daemon.ConfigFile()).Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return err
	}
	if !strings.Contains(string(output), words) {
		return fmt.Errorf("status says %s", output)
	}
	return nil
}

func (l *lab) isRunning(t *testing.T, pod *node.RunningPod) bool {
	t.Helper()
	state := &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING}
	list := rig.Must(l.CRI.Runtime.ListContainers(t.Context(), &cri.ListContainersRequest{
		Filter: &cri.ContainerFilter{PodSandboxId: pod.Sandbox, State: state},
	}))(t)
	return len(list.GetContainers()) > 0
}

// reconfigure adds keys to the daemon's configuration and reloads it.
func (l *lab) reconfigure(t *testing.T, settings map[string]map[string]any) {
	t.Helper()
	text := string(rig.Must(os.ReadFile(l.Daemon.ConfigFile()))(t))
	for table, keys := range settings {
		text += "\n[" + table + "]\n"
		for key, value := range keys {
			text += key + " = " + string(rig.Must(json.Marshal(value))(t)) + "\n"
		}
	}
	rig.OK(t, os.WriteFile(l.Daemon.ConfigFile(), []byte(text), 0o600))
	rig.OK(t, l.Daemon.Process().Signal(syscall.SIGHUP))
	rig.Logged(t, l.Daemon, "configuration reloaded", "enforce.running")
}
