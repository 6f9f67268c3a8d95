package lifecycle_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func (w *workshop) checks(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, node.DaemonConfig{})
	l.Start(t)
	t.Run("about images on the node", l.checkNode)
	t.Run("about what the daemon has in force", l.agreement)
	t.Run("about what skopeo wrote", l.checkDirectories)
	t.Run("again and again, after a refusal", l.lateSignature)
	t.Run("about stored evidence", l.storedEvidence)
}

func (l *lab) checkNode(t *testing.T) {
	signed, unsigned := l.signed(t, "check/signed:v1"), l.Push(t, "check/unsigned:v1")
	index, instance := l.Index(t, "check/index:v1")
	l.sign(t, index, false)
	unseen := l.signed(t, "check/unseen:v1")
	l.runs(t, strict, signed)
	l.Refused(t, strict, unsigned, "unsigned")
	l.runs(t, strict, index)

	byDigest := signed
	byDigest.Reference = signed.ByDigest()
	l.Pull(t, byDigest)
	// Otherwise it would keep fetching for waiting containers and for new images.
	rig.OK(t, l.Daemon.Terminate(t.Context()))
	l.Pull(t, unseen)
	before := rig.Must(l.Registry.Requests())(t)
	for name, test := range map[string]struct{ namespace, reference, want string }{
		"a signed image by tag":            {strict, signed.Reference, "0 accepted"},
		"a signed image by digest":         {strict, byDigest.Reference, "0 accepted"},
		"a signed image by ID":             {strict, signed.Config.String(), "0 accepted"},
		"a signed image by a prefix of it": {strict, signed.Config.String()[:len("sha256:")+12], "0 accepted"},
		"a signed index":                   {strict, index.Reference, "0 accepted"},
		"what this machine runs of it":     {strict, instance.Config.String(), "0 accepted"},
		"a namespace without a document":   {plain, signed.Reference, "0 accepted"},
		"an unsigned image by tag":         {strict, unsigned.Reference, "1 unsigned"},
		"an unsigned image by ID":          {strict, unsigned.Config.String(), "1 unsigned"},
		"an unsigned image by a prefix":    {strict, unsigned.Config.String()[:len("sha256:")+12], "1 unsigned"},
		"an unsigned image in a loose one": {loose, unsigned.Reference, "0 accepted"},
		"an image that was not requested":  {strict, unseen.Reference, "2 pending"},
		"it in a loose namespace":          {loose, unseen.Reference, "0 accepted"},
		"an image that is not here":        {strict, l.Registry.Host + "/check/none:v1", "2 unavailable"},
		"an ID that is not here":           {strict, "sha256:" + strings.Repeat("0", 64), "2 unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := l.Check(t, "--namespace", test.namespace, test.reference).String(); got != test.want {
				t.Errorf("it says %s; want %s", got, test.want)
			}
		})
	}
	if after := rig.Must(l.Registry.Requests())(t); len(after) != len(before) {
		t.Errorf("check fetches: %v", after[len(before):])
	}
	l.Start(t)
}
