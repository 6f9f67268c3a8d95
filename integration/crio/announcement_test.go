package crio_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// TestAnnouncedExample is the example in CRI-O's announcement of policies by namespace: the system policy accepts
// everything, and the document of one namespace accepts only one repository, signed by one identity.
func TestAnnouncedExample(t *testing.T) {
	l := newLab(t)
	l.Write(t, "", accepting())
	l.Write(t, "default", node.Policy{
		Default: node.Reject(),
		Scopes:  map[string]node.Requirement{l.signed.Repository: l.sigstore.Requirement(t, builder)},
	})
	daemon := l.startDaemon(t)
	refused := expectation{reason: "rejected", governs: "default"}
	for _, step := range []struct {
		says      string
		namespace string
		image     node.Pushed
		want      expectation
	}{
		{"the namespace refuses an unsigned image", "default", l.unsigned, refused},
		{
			"the namespace runs the signed image", "default", l.signed,
			expectation{reason: "accepted", governs: "default", scope: l.signed.Repository},
		},
		{"another namespace runs the unsigned image", "other", l.unsigned, expectation{reason: "accepted"}},
		{"another namespace runs the signed image", "other", l.signed, expectation{reason: "accepted"}},
		{"the namespace refuses what the other runs", "default", l.unsigned, refused},
	} {
		t.Run(step.says, func(t *testing.T) {
			l.expect(t, daemon, attempt{
				namespace: step.namespace, container: node.Container{Image: step.image.Repository},
				prints: l.markerOf(step.image),
			}, step.want)
		})
	}
}
