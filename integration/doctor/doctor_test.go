package doctor_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func TestDoctor(t *testing.T) {
	l := newLab(t)
	t.Run("canaries prove enforcement and leave nothing", l.canariesProve)
	t.Run("canaries find what no file shows", l.canariesFind)
	t.Run("faults of containerd", l.containerdFaults)
	if l.Release() != node.Containerd24 {
		return // The rest does not depend on the release.
	}
	t.Run("what a killed doctor leaves is removed by the next one", l.killedCanaries)
	t.Run("faults of files", l.fileFaults)
	t.Run("faults of settings", l.settingFaults)
	t.Run("faults of processes", l.processFaults)
}

type settings = map[string]map[string]any

// replaceDaemon runs another daemon during a test.
func (l *lab) replaceDaemon(t *testing.T, other *node.Daemon, test func(answers)) {
	t.Helper()
	before := l.Daemon
	rig.OK(t, before.Terminate(t.Context()))
	l.Daemon = other
	l.Start(t)
	l.well(t, "--no-canaries")
	test(l.doctor(t))
	rig.OK(t, other.Terminate(t.Context()))
	l.Daemon = before
	l.Start(t)
}

// settingFaults are wrong settings of countersign.
func (l *lab) settingFaults(t *testing.T) {
	full := rig.NewDisk(t)
	readOnly := rig.NewDisk(t)
	rig.OK(t, syscall.Mount("", string(readOnly), "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	for name, test := range map[string]struct {
		settings     settings
		check, cause string
	}{
		"the disk is full":      {settings{"evidence": {"directory": full.Path("e")}}, "evidence_space", "KiB left"},
		"the disk is read-only": {settings{"evidence": {"directory": readOnly.Path("e")}}, "evidence_writable", "read-only"},
		"the image service does not answer": {
			settings{"cri_proxy": {"socket": l.Path("absent.sock")}}, "image_service", "absent.sock",
		},
		"a key is not known":    {settings{"police": {"x": 1}}, "configuration", "police"},
		"the policies are gone": {settings{"policy": {"directory": l.Path("absent")}}, "policies", "absent"},
		"NRI's socket is wrong": {settings{"containerd": {"nri_socket": l.Path("absent.sock")}}, "nri_socket", "absent.sock"},
		"containerd is not there": {
			settings{"containerd": {"address": l.Path("absent.sock")}}, "containerd", "absent.sock",
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := l.Daemon
			l.Daemon = l.PrepareDaemon(t, node.DaemonConfig{Settings: test.settings})
			found := l.doctor(t, "--no-canaries")
			l.Daemon = before
			named(t, found, test.check, test.cause)
		})
	}
	t.Run("the daemon has not read the file", func(t *testing.T) {
		contents := rig.Must(os.ReadFile(l.Daemon.ConfigFile()))(t)
		write(t, l.Daemon.ConfigFile(), string(contents)+"\n[enforce]\nmode = 'audit'\n")
		named(t, l.doctor(t, "--no-canaries"), "reloaded", "enforce.mode")
	})
}

// processFaults are processes that do not answer, or answer what is wrong.
func (l *lab) processFaults(t *testing.T) {
	t.Run("the daemon hangs", func(t *testing.T) {
		rig.OK(t, l.Daemon.Process().Signal(syscall.SIGSTOP))
		found := l.doctor(t, "--no-canaries")
		rig.OK(t, l.Daemon.Process().Signal(syscall.SIGCONT))
		named(t, found, "daemon", "deadline")
	})
	t.Run("the daemon is down", func(t *testing.T) {
		rig.OK(t, l.Daemon.Terminate(t.Context()))
		named(t, l.doctor(t, "--no-canaries"), "daemon", "no daemon listens")
		l.Start(t)
	})
	t.Run("containerd is down, and the plugin not registered", func(t *testing.T) {
		rig.OK(t, l.StopContainerd(t.Context()))
		rig.Eventually(t, "the plugin not to be registered", func() error {
			if status, _, _ := l.doctor(t, "--no-canaries").of("registered"); status != "no" {
				return fmt.Errorf("registered is %q", status)
			}
			return nil
		})
		named(t, l.doctor(t, "--no-canaries"), "containerd", "connect")
		rig.OK(t, l.StartContainerd(t.Context()))
		l.well(t, "--no-canaries")
	})
	t.Run("no policy admits the sandbox image", func(t *testing.T) {
		l.Write(t, "", node.Policy{})
		l.Write(t, "prod", node.Policy{})
		rig.Eventually(t, "the daemon to evaluate the sandbox image", func() error {
			if status, _, _ := l.doctor(t, "--no-canaries").of("sandbox_image"); status != "no" {
				return fmt.Errorf("sandbox_image is %q", status)
			}
			return nil
		})
		named(t, l.doctor(t, "--no-canaries"), "sandbox_image", "pause")
		pause := map[string]node.Requirement{"countersign.test/pause": node.Accept()}
		l.Write(t, "", node.Policy{Scopes: pause})
		l.Write(t, "prod", node.Policy{Scopes: pause})
	})
	t.Run("the kubelet reports no references", l.oldKubelet)
	l.well(t, "--no-canaries")
}

// oldKubelet runs a container as a kubelet before 1.28 does, in a namespace that admits the sandbox image.
func (l *lab) oldKubelet(t *testing.T) {
	audit := l.PrepareDaemon(t, node.DaemonConfig{Settings: settings{"enforce": {"mode": "audit"}}})
	l.replaceDaemon(t, audit, func(answers) {
		pod := rig.Must(l.RunPod(t.Context(), node.Pod{
			Namespace: "prod", Container: node.Container{Image: "countersign.test/pause:1", Pull: node.Never},
		}))(t)
		defer func() { rig.OK(t, pod.Remove(context.WithoutCancel(t.Context()))) }()
		request := rig.Must(pod.CreationRequest(t.Context(), node.Container{
			Name: "old", Image: "countersign.test/pause:1", Pull: node.Never,
		}))(t)
		request.Config.LogPath = ""
		request.Config.Image.UserSpecifiedImage = ""
		created := rig.Must(l.CRI.Runtime.CreateContainer(t.Context(), request))(t)
		_, err := l.CRI.Runtime.StartContainer(t.Context(), &cri.StartContainerRequest{
			ContainerId: created.GetContainerId(),
		})
		rig.OK(t, err)
		found := l.doctor(t, "--no-canaries")
		named(t, found, "kubelet", strings.ToLower(created.GetContainerId()[:12]))
	})
}
