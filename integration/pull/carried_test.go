package pull_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// carried are signatures that other tools and our own bring to a node without registries.
func (w *workshop) carried(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.inProcess(), nil)
	saved, copied := l.signed(t, "shop/saved:v1", bundle), l.signed(t, "shop/copied:v1", old)
	fetched := l.signed(t, "shop/fetched:v1", bundle)
	directory := filepath.Join(t.TempDir(), "saved")
	rig.OK(t, l.Tools.Save(t.Context(), saved, directory, nil))
	simple := l.SkopeoCopy(t, copied)
	l.imports(t, fetched)
	l.evidence(t, "fetch", "--all")
	file := filepath.Join(t.TempDir(), "evidence.tar")
	l.evidence(t, "export", "--all", "-o", file)
	rig.OK(t, l.Registry.Stop())
	rig.OK(t, os.RemoveAll(l.Daemon.EvidenceDirectory()))

	t.Run("what cosign saved, while the daemon does not run", func(t *testing.T) {
		l.evidence(t, "import", "--as", saved.Reference, directory)
	})
	l.Start(t)
	t.Run("what skopeo copied", func(t *testing.T) {
		l.evidence(t, "import", "--as", copied.Reference, simple)
	})
	t.Run("what another node exported", func(t *testing.T) {
		l.evidence(t, "import", file)
	})
	listed := l.evidence(t, "list")
	for _, image := range []node.Pushed{saved, copied, fetched} {
		if !strings.Contains(listed, image.Repository) {
			t.Errorf("nothing is listed of %s:\n%s", image.Repository, listed)
		}
		l.imports(t, image)
		l.runsAtOnce(t, prod, image)
	}
	if shown := l.evidence(t, "show", saved.Reference); !strings.Contains(shown, saved.Repository) {
		t.Errorf("it is not shown for which repository a bundle was made:\n%s", shown)
	}
}

// evidence runs one of the evidence commands, which must succeed.
func (l *lab) evidence(t *testing.T, arguments ...string) string {
	t.Helper()
	return rig.Must(l.Evidence(t, arguments...))(t)
}
