package main_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// deadlock runs the program on a node.
func deadlock(t *testing.T, n *node.Node, program, image string) (output string, status int) {
	t.Helper()
	raw, err := exec.CommandContext(t.Context(), program, "-containerd", n.ContainerdSocket(), "-nri", n.NRISocket(),
		"-image", image, "-cgroup", n.CgroupParent()).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return string(raw), exit.ExitCode()
	}
	rig.OK(t, err)
	return string(raw), 0
}

// TestContainerdDeadlocks shows what docs/operations.md describes. If it fails, containerd has been repaired: remove
// what is there, once no supported version deadlocks.
func TestContainerdDeadlocks(t *testing.T) {
	workshop := rig.NewWorkshop(t)
	registry := node.NewRegistry(t, node.RegistryConfig{InProcess: true})
	r := workshop.NewRig(t, registry)
	program := workshop.Build(t, "./integration/deadlock")
	r.Write(t, "", node.Policy{Default: node.Accept()})
	r.Daemon = r.PrepareDaemon(t, node.DaemonConfig{})
	r.Start(t)
	image := r.Push(t, "app:v1")
	r.Pull(t, image)

	output, status := deadlock(t, r.Node, program, image.Reference)
	if status != 1 || !strings.Contains(output, "deadlocked") {
		t.Fatalf("containerd does not deadlock: exit status %d\n%s", status, output)
	}
	t.Run("a restart of the daemon does not help, and the daemon says what does", func(t *testing.T) {
		rig.OK(t, r.Daemon.Terminate(t.Context()))
		rig.OK(t, r.Daemon.Start())
		rig.Logged(t, r.Daemon, "containerd's NRI accepts no plugin", "restart containerd")
		metric := rig.Must(r.Daemon.Metric(t.Context(), "countersign_nri_unanswered"))(t)
		ready, err := r.Daemon.Readiness(t.Context())
		if metric != 1 || err == nil || !strings.Contains(fmt.Sprint(ready, err), "restart containerd") {
			t.Errorf("the metric is %v; readiness is %s, %v", metric, ready, err)
		}
	})
	t.Run("a restart of containerd helps", func(t *testing.T) {
		r.KillContainerd()
		rig.OK(t, r.StartContainerd(t.Context()))
		rig.OK(t, r.Daemon.Ready(t.Context()))
		if metric := rig.Must(r.Daemon.Metric(t.Context(), "countersign_nri_unanswered"))(t); metric != 0 {
			t.Errorf("the metric is %v", metric)
		}
		r.Begin(t, "default", image)
	})
}
