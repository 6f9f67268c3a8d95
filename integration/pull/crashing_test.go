package pull_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func (w *workshop) crashing(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.inProcess(), nil)
	l.Start(t)
	t.Run("killed between fetching and storing", l.killedBeforeRename)
	t.Run("its disk is full", l.fullDisk)
}

// killedBeforeRename kills the daemon while the registry delays the last of an image's signatures.
func (l *lab) killedBeforeRename(t *testing.T) {
	image := l.signed(t, "shop/cut:v1", old)
	answer, arrived, release := hold(t)
	defer release()
	repair := l.faults.answer(t, answer, "/v2/shop/cut/blobs/")
	outcome := make(chan error, 1)
	go func() { outcome <- l.tryPull(t, image) }()
	awaits(t, arrived)
	l.Daemon.Kill()
	if err := <-outcome; err == nil || !strings.Contains(err.Error(), rig.RefusalPrefix) {
		t.Errorf("when its daemon was killed, the pull says: %v", err)
	}
	if found, err := storedEvidence(l.Daemon, image); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a fetch it has stored %+v, %v", found, err)
	}
	repair()
	l.Start(t)
	l.Pull(t, image)
	l.runsAtOnce(t, prod, image)
	if left := temporary(t, l.Daemon); len(left) > 0 {
		t.Errorf("it left behind %v", left)
	}
}

// temporary returns the daemon's files that are not renamed to their final names yet.
func temporary(t *testing.T, daemon *node.Daemon) (found []string) {
	t.Helper()
	rig.OK(t, filepath.WalkDir(daemon.EvidenceDirectory(), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), "new-") {
			found = append(found, path)
		}
		return err
	}))
	return found
}

// fullDisk has no space for evidence: the verdict is the same, but the evidence is lost at a restart.
func (l *lab) fullDisk(t *testing.T) {
	disk := rig.NewDisk(t)
	rig.OK(t, l.Daemon.Terminate(t.Context()))
	l.Daemon = l.newDaemon(t, settings{"evidence": {"directory": disk.Path("evidence")}})
	rig.OK(t, l.InstallVerifier(l.verifier, l.Daemon))
	l.Start(t)
	disk.Fill(t)
	signed, unsigned := l.signed(t, "shop/full:v1", bundle), l.Push(t, "shop/full-unsigned:v1")
	l.Pull(t, signed)
	l.refusesPull(t, unsigned, "unsigned")
	rig.Logged(t, l.Daemon, "", "no space left on device")
	l.runsAtOnce(t, prod, signed)
	disk.Empty(t)
	after := l.signed(t, "shop/room:v1", bundle)
	l.Pull(t, after)
	l.runsAtOnce(t, prod, after)
	rig.Logged(t, l.Daemon, "evidence is stored on disk again")
	rig.OK(t, l.Daemon.Terminate(t.Context()))
}
