package pull_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// carried are signatures that come to a node without registries by tools that are not ours, and by ours.
func (w *workshop) carried(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.inProcess(), nil)
	saved, copied := l.signed(t, "shop/saved:v1", bundle), l.signed(t, "shop/copied:v1", old)
	fetched := l.signed(t, "shop/fetched:v1", bundle)
	directory := filepath.Join(t.TempDir(), "saved")
	no(t, l.tools.Save(t.Context(), saved, directory, nil))
	simple := l.skopeoCopy(t, copied)
	l.imports(t, fetched)
	l.evidence(t, "fetch", "--all")
	file := filepath.Join(t.TempDir(), "evidence.tar")
	l.evidence(t, "export", "--all", "-o", file)
	no(t, l.registry.Stop())
	no(t, os.RemoveAll(l.daemon.EvidenceDirectory()))

	t.Run("what cosign saved, while the daemon is away", func(t *testing.T) {
		l.evidence(t, "import", "--as", saved.Reference, directory)
	})
	l.start(t)
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

// evidence runs one of the commands about evidence, with the configuration of the node's daemon.
func (l *lab) evidence(t *testing.T, arguments ...string) string {
	t.Helper()
	arguments = append(append([]string{"evidence"}, arguments...), "--config", l.daemon.ConfigFile())
	output, err := exec.CommandContext(t.Context(), l.program, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("countersign %s: %v\n%s", arguments, err, output)
	}
	return string(output)
}

// skopeoCopy has skopeo copy an image with its signatures to a directory, and returns import's name of that.
func (l *lab) skopeoCopy(t *testing.T, image node.Pushed) string {
	t.Helper()
	registries, target := t.TempDir(), filepath.Join(t.TempDir(), "image")
	attached := fmt.Sprintf("docker:\n  %s:\n    use-sigstore-attachments: true\n", l.registry.Host)
	no(t, os.WriteFile(filepath.Join(registries, "attached.yaml"), []byte(attached), 0o600))
	output, err := exec.CommandContext(t.Context(), node.Skopeo(t), "--insecure-policy", "--registries.d", registries,
		"copy", "--src-tls-verify=false", "docker://"+image.Reference, "dir:"+target).CombinedOutput()
	if err != nil {
		t.Fatalf("skopeo: %v\n%s", err, output)
	}
	return "dir:" + target
}
