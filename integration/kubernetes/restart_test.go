package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// restarts is how often the daemon is restarted; the environment variable COUNTERSIGN_RESTARTS replaces it.
func restarts(t *testing.T) int {
	t.Helper()
	if text := os.Getenv("COUNTERSIGN_RESTARTS"); text != "" {
		return rig.Must(strconv.Atoi(text))(t)
	}
	return 10
}

// TestARestartOfTheDaemonFailsNoPull: the listener is systemd's, so the kubelet waits for the next daemon, and
// the daemon ends after the pulls in progress.
func TestARestartOfTheDaemonFailsNoPull(t *testing.T) {
	l := newLab(t, labConfig{})
	const pods = 3
	var started sync.WaitGroup
	failed := make(chan error, pods)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	count := make([]int, pods)
	for i := range pods {
		started.Go(func() { failed <- l.churn(ctx, t, i, &count[i]) })
	}
	for i := range restarts(t) {
		before := l.CRIPulls(t)
		rig.OK(t, l.Daemon.Terminate(t.Context()))
		rig.OK(t, l.Daemon.Start())
		rig.OK(t, l.Daemon.Ready(t.Context()))
		// Pods start between any two restarts.
		rig.Eventually(t, "a pull after restart "+strconv.Itoa(i+1), func() error {
			if l.CRIPulls(t) == before {
				return errors.New("there was none")
			}
			return nil
		})
		ready := rig.Must(l.cluster.Kubectl(t.Context(), "get", "node", kubernetes.NodeName, "-o",
			`jsonpath={.status.conditions[?(@.type=="Ready")].status}`))(t)
		if ready != "True" {
			t.Errorf("after restart %d the node's condition Ready is %s", i+1, ready)
		}
	}
	stop()
	started.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d restarts, pods started: %v", restarts(t), count)
}

// churn runs one pod after another, each with an image of its own, until the context ends. Each must run, and none of
// them may fail for its image.
func (l *lab) churn(ctx context.Context, t *testing.T, lane int, count *int) error {
	t.Helper()
	for ; ctx.Err() == nil; *count++ {
		image := l.signed(t, fmt.Sprintf("shop/churn-%d-%d:v1", lane, *count))
		name := fmt.Sprintf("churn-%d-%d", lane, *count)
		if err := l.cluster.Apply(t.Context(), kubernetes.Pod(prod, name, image.Reference, nil)); err != nil {
			return err
		}
		if err := node.Until(t.Context(), name+" to run", l.cluster.Runs(prod, name)); err != nil {
			return err
		}
		events, err := l.cluster.Events(t.Context(), prod, name)
		if err != nil {
			return err
		}
		for _, event := range events {
			if failedForImage(event) {
				return fmt.Errorf("pod %s failed first: %s", name, event)
			}
		}
		_, err = l.cluster.Kubectl(t.Context(), "-n", prod, "delete", "pod", name, "--force", "--wait=false")
		if err != nil {
			return err
		}
	}
	return nil
}

// failedForImage reports whether an event says that an image could not be pulled or looked up. The refusal to create a
// container is not such an event: containerd requires the plugin, and the kubelet retries.
func failedForImage(event string) bool {
	return slices.ContainsFunc(
		[]string{"Failed to pull image", "Failed to inspect image", "ErrImagePull", "ImageInspectError"},
		func(text string) bool { return strings.Contains(event, text) })
}

// CRIPulls returns how many pulls of the kubelet are in the audit log.
func (l *lab) CRIPulls(t *testing.T) int {
	t.Helper()
	return strings.Count(string(rig.Must(os.ReadFile(l.Daemon.LogFile()))(t)), `"msg":"pull"`)
}

// listen plays the part of countersign-cri.socket.
func listen(t *testing.T, path string) *os.File {
	t.Helper()
	listener := rig.Must(net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}))(t)
	file := rig.Must(listener.File())(t)
	listener.SetUnlinkOnClose(false)
	rig.OK(t, listener.Close())
	t.Cleanup(func() { _ = file.Close() })
	return file
}
