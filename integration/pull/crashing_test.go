package pull_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

func (w *workshop) crashing(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.inProcess(), nil)
	l.start(t)
	t.Run("killed between what it fetched and what it keeps", l.killedBeforeRename)
	t.Run("its disk is full", l.fullDisk)
}

// killedBeforeRename kills the daemon while the registry holds back the last of an image's signatures.
func (l *lab) killedBeforeRename(t *testing.T) {
	image := l.signed(t, "shop/cut:v1", old)
	answer, arrived, release := hold(t)
	defer release()
	repair := l.faults.answer(t, answer, "/v2/shop/cut/blobs/")
	outcome := make(chan error, 1)
	go func() { outcome <- l.pull(t, image) }()
	awaits(t, arrived)
	l.daemon.Kill()
	if err := <-outcome; err == nil || !strings.Contains(err.Error(), prefix) {
		t.Errorf("when its daemon was killed, the pull says: %v", err)
	}
	if found, err := kept(l.daemon, image); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of what was not fetched it keeps %+v, %v", found, err)
	}
	repair()
	l.start(t)
	l.pulls(t, image)
	l.runsAtOnce(t, prod, image)
	if left := temporary(t, l.daemon); len(left) > 0 {
		t.Errorf("it left behind %v", left)
	}
}

// temporary are the files that a daemon has not given their names yet.
func temporary(t *testing.T, daemon *node.Daemon) (found []string) {
	t.Helper()
	no(t, filepath.WalkDir(daemon.EvidenceDirectory(), func(path string, _ fs.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), "new-") {
			found = append(found, path)
		}
		return err
	}))
	return found
}

// fullDisk has no room for evidence: the verdict is the same, and only its memory is shorter.
func (l *lab) fullDisk(t *testing.T) {
	disk := t.TempDir()
	no(t, syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	no(t, l.daemon.Terminate(t.Context()))
	l.daemon = l.newDaemon(t, settings{"evidence": {"directory": filepath.Join(disk, "evidence")}})
	no(t, l.InstallVerifier(l.verifier, l.daemon))
	l.start(t)
	filling := filepath.Join(disk, "filling")
	if err := os.WriteFile(filling, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	signed, unsigned := l.signed(t, "shop/full:v1", bundle), l.push(t, "shop/full-unsigned:v1")
	l.pulls(t, signed)
	l.refusesPull(t, unsigned, "unsigned")
	logged(t, l.daemon, "no space left on device")
	l.runsAtOnce(t, prod, signed)
	no(t, os.Remove(filling))
	after := l.signed(t, "shop/room:v1", bundle)
	l.pulls(t, after)
	l.runsAtOnce(t, prod, after)
	logged(t, l.daemon, "evidence is kept on disk again")
	no(t, l.daemon.Terminate(t.Context()))
}
