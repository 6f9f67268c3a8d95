package bundle_test

import (
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/integration/rig"
)

// checked runs check for images that are on no node: in their registry, and as saved by cosign.
func (s *site) checked(t *testing.T) {
	signed, nameless, unsigned := s.Push(t, "check/signed:v1"), s.Push(t, "check/nameless:v1"), s.Push(t, "check/none:v1")
	s.named(t, signed)
	s.sign(t, nameless, signing{})
	absent := s.Registry.Host + "/check/absent:v1"
	saved := filepath.Join(t.TempDir(), "saved")
	rig.OK(t, s.Tools.Save(t.Context(), signed, saved, nil))
	for name, test := range map[string]struct{ namespace, image, reference, want string }{
		"a signed image in the registry":               {prod, "registry", signed.Reference, "0 accepted"},
		"a signed image by its digest":                 {prod, "registry", signed.ByDigest(), "0 accepted"},
		"what cosign saved":                            {prod, "oci:" + saved, signed.Reference, "0 accepted"},
		"what cosign saved, under another name":        {prod, "oci:" + saved, unsigned.Reference, "1 rejected"},
		"what names no repository":                     {prod, "registry", nameless.Reference, "1 rejected"},
		"what names no repository, and need not":       {legacy, "registry", nameless.Reference, "0 accepted"},
		"an image that is not signed":                  {prod, "registry", unsigned.Reference, "1 unsigned"},
		"an image that does not exist":                 {prod, "registry", absent, "2 unavailable"},
		"a namespace whose policy rejects it":          {"plain", "registry", signed.Reference, "1 rejected"},
		"a signed image where two signatures are due":  {both, "registry", signed.Reference, "1 rejected"},
		"a signed image where its very tag was signed": {exact, "registry", signed.Reference, "1 rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := s.Check(t, "-n", test.namespace, "--image", test.image, test.reference).String(); got != test.want {
				t.Errorf("it says %s; want %s", got, test.want)
			}
		})
	}
}
