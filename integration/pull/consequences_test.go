package pull_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// consequences makes happen what the daemon says that containerd does with pulls.
func (w *workshop) consequences(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.Distribution(), settings{"pull": {"timeout": "2s"}})
	l.Start(t)
	t.Run("pulls are not checked", l.uncheckedPulls)
	t.Run("every pull is refused", l.refusedPulls)
}

const (
	notActive       = "the image verifier is not active: signatures are fetched after an image is pulled"
	imagesSection   = "[plugins.'io.containerd.cri.v1.images']\n  "
	verifierSection = "[plugins.'io.containerd.image-verifier.v1.bindir']\n  "
)

// pullSetting is a change of the node, and what the daemon reports about it.
type pullSetting struct {
	// dropIn is added to containerd's configuration, with VERIFIERS for the directory of verifiers, and change changes
	// this directory; both may be empty.
	dropIn string
	change func() error
	says   string
}

// uncheckedPulls pulls an unsigned image in each case in which the daemon reports that containerd does not run the
// verifier.
func (l *lab) uncheckedPulls(t *testing.T) {
	unsigned := l.Push(t, "shop/unchecked:v1")
	l.refusesPull(t, unsigned, "unsigned")
	directory := l.VerifierDirectory()
	first := filepath.Join(directory, "00-first")
	for name, setting := range map[string]pullSetting{
		"the directory is empty": {
			change: func() error { return os.Remove(filepath.Join(directory, node.Verifier)) },
			says:   "without it containerd admits every pull",
		},
		"there is no directory": {
			change: func() error { return os.RemoveAll(directory) }, says: "without it containerd admits every pull",
		},
		"another verifier has its place": {
			dropIn: verifierSection + "max_verifiers = 1\n",
			change: func() error { return os.WriteFile(first, []byte("#!/bin/sh\n"), 0o755) },
			says:   "is not among the first 1",
		},
		"the verifiers are disabled": {
			dropIn: "disabled_plugins = ['io.containerd.image-verifier.v1.bindir']\n", says: "disables its plugin",
		},
		"the CRI plugin pulls":               {dropIn: imagesSection + "use_local_image_pull = true\n"},
		"the CRI plugin discards layers":     {dropIn: imagesSection + "discard_unpacked_layers = true\n"},
		"the CRI plugin syncs":               {dropIn: imagesSection + "image_pull_with_sync_fs = true\n"},
		"the CRI plugin annotates snapshots": {dropIn: imagesSection + "disable_snapshot_annotations = false\n"},
		"the CRI plugin limits downloads":    {dropIn: imagesSection + "max_concurrent_downloads = 5\n"},
		"the CRI plugin has registries of its own": {dropIn: imagesSection + "registry.config_path = ''\n" +
			"  registry.configs.'x.example'.auth.username = 'x'\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if setting.says == "" {
				setting.says = "pulls without the transfer service, and so without image verifiers"
			}
			undo := l.reconfigure(t, setting, notActive)
			defer undo()
			l.Pull(t, unsigned)
			rig.OK(t, l.CRI.RemoveImage(t.Context(), unsigned.Reference))
		})
	}
	l.refusesPull(t, unsigned, "unsigned")
}

// refusedPulls pulls a signed image each time that the daemon says that containerd refuses every pull.
func (l *lab) refusedPulls(t *testing.T) {
	signed := l.signed(t, "shop/refused:v1", bundle)
	directory := l.VerifierDirectory()
	t.Run("a file has the place of the directory", func(t *testing.T) {
		undo := l.reconfigure(t, pullSetting{
			change: func() error { return errors.Join(os.RemoveAll(directory), os.WriteFile(directory, nil, 0o600)) },
			says:   "cannot read the directory of image verifiers",
		}, "containerd refuses every pull")
		defer undo()
		if err := l.tryPull(t, signed); err == nil || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("the pull says: %v", err)
		}
	})
	t.Run("containerd ends the verifier before it answers", func(t *testing.T) {
		undo := l.reconfigure(t, pullSetting{
			dropIn: verifierSection + "per_verifier_timeout = '1s'\n",
			says:   "containerd ends image verifiers after 1s, and then refuses the pull",
		}, notActive)
		defer undo()
		rig.OK(t, l.Daemon.Process().Signal(syscall.SIGSTOP))
		err := l.tryPull(t, signed)
		rig.OK(t, l.Daemon.Process().Signal(syscall.SIGCONT))
		if err == nil || rig.IsRefused(err, "unavailable") || !strings.Contains(err.Error(), "verifier "+node.Verifier) {
			t.Errorf("the pull says: %v", err)
		}
	})
	l.Pull(t, signed)
}

// reconfigure changes the node, restarts containerd, and waits until the daemon says so. undo does the opposite.
func (l *lab) reconfigure(t *testing.T, setting pullSetting, message string) (undo func()) {
	t.Helper()
	const name = "99-zz.toml"
	restart := func(message, says string) {
		t.Helper()
		before := len(l.logged(t, message, says))
		rig.OK(t, l.RestartContainerd(t.Context()))
		rig.Eventually(t, message, func() error {
			if len(l.logged(t, message, says)) == before {
				return errors.New("the daemon does not say so")
			}
			return nil
		})
	}
	if setting.dropIn != "" {
		rig.OK(t, l.DropIn(name, "version = 3\n"+setting.dropIn))
	}
	if setting.change != nil {
		rig.OK(t, setting.change())
	}
	restart(message, setting.says)
	return func() {
		t.Helper()
		if setting.dropIn != "" {
			rig.OK(t, os.Remove(l.Path("conf.d", name)))
		}
		rig.OK(t, os.RemoveAll(l.VerifierDirectory()))
		rig.OK(t, os.Mkdir(l.VerifierDirectory(), 0o755)) //nolint:gosec // As containerd's own.
		rig.OK(t, l.InstallVerifier(l.verifier, l.Daemon))
		restart("containerd runs the image verifier for each pull", "")
	}
}

// logged returns the daemon's records so far with a message and a text.
func (l *lab) logged(t *testing.T, message, says string) (found []map[string]any) {
	t.Helper()
	for _, record := range rig.Must(l.Daemon.Log(message))(t) {
		if rig.Says(record, says) {
			found = append(found, record)
		}
	}
	return found
}
