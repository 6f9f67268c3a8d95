package crio_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// TestCreation are CRI-O's cases 12 to 21: images pulled under a policy that accepts anything, and then created under
// a restrictive one.
func TestCreation(t *testing.T) {
	l := newLab(t)
	l.Write(t, "", accepting())
	daemon := l.startDaemon(t)
	outcomes := []struct {
		image node.Pushed
		want  expectation
		says  string
	}{
		{l.signed, expectation{reason: "accepted", scope: l.signed.Repository}, "a signed image is allowed"},
		{l.keyed, expectation{reason: "accepted", scope: l.keyed.Repository}, "an image signed by a key is allowed"},
		{l.unsigned, expectation{reason: "rejected"}, "an unsigned image is denied"},
		{l.due, expectation{reason: "unsigned", scope: l.due.Repository}, "an image that should be signed is denied"},
	}
	ids := make(map[node.Pushed]string) // The IDs that the pull returns, compared with those that the runtime lists.
	for _, outcome := range outcomes {
		ids[outcome.image] = l.Pull(t, outcome.image)
		if listed := l.idOf(t, outcome.image); listed != ids[outcome.image] {
			t.Fatalf("the pull calls the image %s, the list %s", ids[outcome.image], listed)
		}
	}
	l.govern(t, daemon, l.restrictive(t, builder))

	for how, tryWith := range map[string]func(node.Pushed) attempt{
		"12 and 13 by the ID that the pull returned": func(image node.Pushed) attempt {
			return attempt{container: named(image.Repository), sent: ids[image]}
		},
		"12 and 13 pulled again, as a kubelet does": func(image node.Pushed) attempt {
			return attempt{container: node.Container{Image: image.Repository, Pull: node.Always}}
		},
		"14 and 15 by the ID of what is there, as a kubelet does": func(image node.Pushed) attempt {
			return attempt{container: named(image.Repository)}
		},
		"14 and 15 by an ID that the author of the pod wrote": func(image node.Pushed) attempt {
			return attempt{container: named(ids[image])}
		},
		"16 and 17 by tag": func(image node.Pushed) attempt {
			return attempt{container: named(image.Repository), sent: image.Repository}
		},
		"16 and 17 by tag, as a kubelet does": func(image node.Pushed) attempt {
			return attempt{container: named(image.Reference)}
		},
		"18 and 19 by tag and digest": func(image node.Pushed) attempt {
			return attempt{container: named(byBoth(image)), sent: byBoth(image)}
		},
		"18 and 19 by tag and digest, as a kubelet does": func(image node.Pushed) attempt {
			return attempt{container: named(byBoth(image))}
		},
	} {
		t.Run(how, func(t *testing.T) {
			for _, outcome := range outcomes {
				t.Run(outcome.says, func(t *testing.T) {
					try := tryWith(outcome.image)
					try.prints = l.markerOf(outcome.image)
					l.expect(t, daemon, try, outcome.want)
				})
			}
		})
	}

	for name, identity := range wrongIdentities() {
		l.govern(t, daemon, l.restrictive(t, identity))
		for how, sent := range map[string]string{
			"by tag and digest": byBoth(l.signed), "by tag and digest, as a kubelet does": "",
		} {
			t.Run(name.created+"/"+how, func(t *testing.T) {
				l.expect(t, daemon, attempt{container: named(byBoth(l.signed)), sent: sent},
					expectation{reason: "rejected", scope: l.signed.Repository})
			})
		}
	}
}

// named returns a container of a local image, with the reference that the author of the pod wrote.
func named(image string) node.Container {
	return node.Container{Image: image, Pull: node.Never}
}

// byBoth returns a reference like those in CRI-O's tests, with tag and digest.
func byBoth(image node.Pushed) string { return image.Reference + "@" + image.Digest.String() }

// idOf returns the runtime's ID of a local image.
func (l *lab) idOf(t *testing.T, image node.Pushed) string {
	t.Helper()
	id, err := l.CRI.ImageID(t.Context(), image.Reference)
	if err != nil {
		t.Fatal(err)
	}
	if id != image.Config.String() {
		t.Fatalf("the runtime calls %s %q, want %s", image.Reference, id, image.Config)
	}
	return id
}
