package attack_test

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign/countersign/integration/node"
)

// repoint makes a name on a node refer to an index. It uses a pull that fails in the CRI plugin, which needs the size
// of a manifest that is not on the node. Afterwards containerd's image store has the index, but the CRI plugin's memory
// still has the previous image (containerd 2.4.2).
func (l *lab) repoint(t *testing.T, n *node.Node, name string, children ...node.Child) node.Pushed {
	t.Helper()
	index := l.pushIndex(t, name, node.Index(children...))
	if _, err := n.CRI.PullImage(t.Context(), index.Reference, nil, nil); err == nil {
		t.Fatal("containerd takes the attacker's index as it should: the attack must be made another way")
	}
	images := must(n.Ctr(t.Context(), "images", "list"))(t)
	for line := range strings.Lines(images) {
		if strings.HasPrefix(line, index.Reference+" ") && strings.Contains(line, index.Digest.String()) {
			return index
		}
	}
	t.Fatalf("the name does not lead to the attacker's index:\n%s", images)
	return index
}

// alias gives a signed image on a node a name that sorts before its own and refers to the attacker's manifest.
func (l *lab) alias(t *testing.T, n *node.Node, name string, signed, evil v1.Image) node.Pushed {
	t.Helper()
	pushed := l.push(t, name, signed)
	pull(t, n, pushed.Reference)
	l.repoint(t, n, name, node.Child{Manifest: evil}, l.elsewhere(t), node.Child{Manifest: signed})
	return pushed
}

func (l *lab) aliasOfRootfs(t *testing.T) {
	signed, victim := l.signed(t, "shop/alias:v1", "signed")
	evil := l.image(t, "the attacker's")
	l.runs(t, l.bare, strict, victim.Reference, "signed")
	l.alias(t, l.bare, "aaa/alias:v1", signed, evil)
	l.runs(t, l.bare, strict, victim.Reference, "the attacker's")

	refused := func() {
		t.Helper()
		decision := l.refused(t, strict, node.Container{Image: victim.Reference}, "unknown-origin")
		config := byRelease(l, victim.Config.String(), "")
		if decision.ConfigDigest != config || !strings.Contains(decision.Detail, "layers") {
			t.Errorf("the record does not tell what happened: %v", decision.Record)
		}
	}
	l.runs(t, l.Node, strict, victim.Reference, "signed")
	alias := l.alias(t, l.Node, "aaa/alias:v1", signed, evil)
	refused()
	l.refused(t, strict, node.Container{Image: victim.Config.String()}, "unknown-origin")
	// Even a namespace that accepts everything must not get another image than the one that it requested.
	l.refused(t, lax, node.Container{Image: victim.Reference}, "unknown-origin")

	if err := l.registry.Tag(t.Context(), alias, "v1"); err != nil {
		t.Fatal(err)
	}
	pull(t, l.Node, alias.Reference)
	l.runs(t, l.Node, strict, victim.Reference, "signed")

	l.alias(t, l.Node, "aaa/alias:v1", signed, evil)
	refused()
	if _, err := l.Ctr(t.Context(), "images", "rm", "--sync", alias.Reference); err != nil {
		t.Fatal(err)
	}
	l.awaitGone(t, victim.Reference, alias.Reference)
	l.runs(t, l.Node, strict, victim.Reference, "signed")
}

// awaitGone waits until the CRI plugin knows that an image has lost one of its names.
func (l *lab) awaitGone(t *testing.T, image, name string) {
	t.Helper()
	err := retry(t, func() (bool, error) {
		status, err := l.CRI.Images.ImageStatus(t.Context(), imageStatus(image))
		return !slices.Contains(status.GetImage().GetRepoTags(), name), err
	})
	if err != nil {
		t.Fatal(err)
	}
}
