package crio_test

import (
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// pulled is a case in which the pod always pulls the image.
type pulled struct {
	image     func(*lab) node.Pushed
	namespace string
	reason    string
	governs   string
	scoped    bool // Whether the scope is the image's repository.
}

func signed(l *lab) node.Pushed   { return l.signed }
func keyed(l *lab) node.Pushed    { return l.keyed }
func unsigned(l *lab) node.Pushed { return l.unsigned }
func due(l *lab) node.Pushed      { return l.due }

// TestPulledImages are CRI-O's cases 1 to 11.
func TestPulledImages(t *testing.T) {
	l := newLab(t)
	l.Write(t, "", accepting())
	l.Write(t, "unrestrictive", accepting())
	l.Write(t, "restrictive", l.restrictive(t, builder))
	daemon := l.startDaemon(t)
	l.expectPulls(t, daemon, "under a default policy", map[string]pulled{
		"01 an unsigned image is accepted":        {image: unsigned, reason: "accepted"},
		"04 a signed image is accepted":           {image: signed, reason: "accepted"},
		"04 an image signed by a key is accepted": {image: keyed, reason: "accepted"},
		"08 a namespace without a policy has the system's": {
			image: unsigned, namespace: "foo", reason: "accepted",
		},
		"10 a namespace's stricter policy denies an unsigned image": {
			image: unsigned, namespace: "restrictive", reason: "rejected", governs: "restrictive",
		},
		"10 a namespace's stricter policy denies an image that should be signed": {
			image: due, namespace: "restrictive", reason: "unsigned", governs: "restrictive", scoped: true,
		},
		"11 a namespace's stricter policy accepts a signed image": {
			image: signed, namespace: "restrictive", reason: "accepted", governs: "restrictive", scoped: true,
		},
		"11 a namespace's stricter policy accepts an image signed by a key": {
			image: keyed, namespace: "restrictive", reason: "accepted", governs: "restrictive", scoped: true,
		},
	})

	// All of these are on the node now, pulled under a policy that accepts everything.
	l.govern(t, daemon, l.restrictive(t, builder))
	l.expectPulls(t, daemon, "under a restrictive policy", map[string]pulled{
		"03 an unsigned image is denied if already pulled": {image: unsigned, reason: "rejected"},
		"03 an image that should be signed is denied if already pulled": {
			image: due, reason: "unsigned", scoped: true,
		},
	})
	for _, image := range []node.Pushed{l.signed, l.keyed, l.unsigned, l.due} {
		if err := l.CRI.RemoveImage(t.Context(), image.Reference); err != nil {
			t.Fatal(err)
		}
	}
	l.expectPulls(t, daemon, "under a restrictive policy", map[string]pulled{
		"02 an unsigned image is denied":               {image: unsigned, reason: "rejected"},
		"02 an image that should be signed is denied":  {image: due, reason: "unsigned", scoped: true},
		"05 a signed image is accepted":                {image: signed, reason: "accepted", scoped: true},
		"05 an image signed by a key is accepted":      {image: keyed, reason: "accepted", scoped: true},
		"08 a namespace without a policy has this one": {image: unsigned, namespace: "foo", reason: "rejected"},
		"09 a namespace's looser policy accepts an unsigned image": {
			image: unsigned, namespace: "unrestrictive", reason: "accepted", governs: "unrestrictive",
		},
	})

	for name, identity := range wrongIdentities() {
		l.govern(t, daemon, l.restrictive(t, identity))
		l.expectPulls(t, daemon, "under a policy for another identity", map[string]pulled{
			name.pulled: {image: signed, reason: "rejected", scoped: true},
		})
	}
}

// wrong names the two cases of a wrong identity: at the pull and at the creation.
type wrong struct{ pulled, created string }

// wrongIdentities differ from the identity that signs, as in CRI-O's tests.
func wrongIdentities() map[wrong]signaturetest.Identity {
	return map[wrong]signaturetest.Identity{
		{"06 a wrong subjectEmail is denied", "20 a wrong subjectEmail is denied"}: {
			Email: "invalid", Issuer: builder.Issuer,
		},
		{"07 a wrong oidcIssuer is denied", "21 a wrong oidcIssuer is denied"}: {
			Email: builder.Email, Issuer: "invalid",
		},
	}
}

// expectPulls runs a pod for each case; the pod pulls its image.
func (l *lab) expectPulls(t *testing.T, daemon *node.Daemon, circumstances string, cases map[string]pulled) {
	t.Helper()
	for name, test := range cases {
		t.Run(circumstances+"/"+name, func(t *testing.T) {
			image := test.image(l)
			want := expectation{reason: test.reason, governs: test.governs}
			if test.scoped {
				want.scope = image.Repository
			}
			l.expect(t, daemon, attempt{
				namespace: test.namespace,
				container: node.Container{Image: image.Repository, Pull: node.Always},
				prints:    l.markerOf(image),
			}, want)
		})
	}
}

// markerOf returns the line that an image's container writes.
func (l *lab) markerOf(image node.Pushed) string {
	return "this is " + image.Repository[len(l.Registry.Host+"/crio/"):]
}
