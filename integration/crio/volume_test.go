package crio_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// TestImageVolumes has CRI-O's cases 22 and 23: an image mounted into a container whose own image is signed.
func TestImageVolumes(t *testing.T) {
	l := newLab(t)
	l.Write(t, "", accepting())
	daemon := l.startDaemon(t)
	for _, image := range []node.Pushed{l.signed, l.keyed, l.unsigned, l.due} {
		l.Pull(t, image)
	}
	l.govern(t, daemon, l.restrictive(t, builder))
	admitted := expectation{reason: "accepted", scope: l.signed.Repository}
	for name, test := range map[string]struct {
		image node.Pushed
		want  expectation
	}{
		"22 a signed image is allowed":           {l.signed, admitted},
		"22 an image signed by a key is allowed": {l.keyed, admitted},
		"23 an unsigned image is denied":         {l.unsigned, expectation{reason: "rejected", volume: "/volume"}},
		"23 an image that should be signed is denied": {
			l.due, expectation{reason: "unsigned", scope: l.due.Repository, volume: "/volume"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l.expect(t, daemon, attempt{
				container: node.Container{
					Image: l.signed.Repository, Pull: node.Never,
					Command: []string{"/witness", "print", "/volume/marker"},
					Volumes: []node.Volume{{Image: test.image.Repository, Path: "/volume", Pull: node.Never}},
				},
				prints: l.markerOf(test.image),
			}, test.want)
			if test.want.reason == "accepted" {
				l.expectVolume(t, daemon, test.image)
			}
		})
	}
}

// expectVolume checks that an admitted volume has its own record in the audit log, with the rule that admitted it.
func (l *lab) expectVolume(t *testing.T, daemon *node.Daemon, image node.Pushed) {
	t.Helper()
	_, err := daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Record["volume"] == "/volume" && d.Outcome == "admit" && d.Scope == image.Repository &&
			d.ConfigDigest == l.signed.Config.String()
	})
	if err != nil {
		t.Error(err)
	}
}
