package kubernetes_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/rig"
)

// openShiftDifference is a policy about which the API server decides otherwise than OpenShift's.
type openShiftDifference struct {
	policy object
	// admitted reports whether ours is admitted and OpenShift's is refused; otherwise, it is the other way around.
	admitted bool
	// field is the one for which it is refused.
	field string
}

// openShiftDifferences are those that docs/kubernetes.md lists.
func openShiftDifferences() map[string]openShiftDifference {
	scoped := func(scopes ...string) object { return imagePolicy(withKey(), scopes...) }
	keyed := func(pem string) object {
		return imagePolicy(rooted("PublicKey", "publicKey", object{"keyData": base64ed(pem)}), "example.com")
	}
	certified := func(pem string) object {
		return imagePolicy(pki(pem, object{"email": "dev@example.com"}), "example.com")
	}
	remapped := object{"prefix": "example.com:5000", "signedPrefix": "mirror.com"}
	crlf := strings.NewReplacer("\n", "\r\n")
	const shortDigest = "@sha256:b7e686e30346e9ace664fa09c0275262"
	return map[string]openShiftDifference{
		"a policy without scopes":        {scoped(), false, "scopes"},
		"a wildcard in upper case":       {scoped("*.EXAMPLE.com"), false, "scopes"},
		"a digest that is too short":     {scoped("example.com/a" + shortDigest), false, "scopes"},
		"a host of one label and a port": {scoped("registry:5000/a"), true, "scopes"},
		"an IPv6 address":                {scoped("[::1]:5000/a"), true, "scopes"},
		"a remapped host with a port": {
			imagePolicy(identified("RemapIdentity", "remapIdentity", remapped), "example.com"), true, "remapIdentity.prefix",
		},
		"a key with text before it": {keyed("a comment\n" + publicKey), true, "publicKey.keyData"},
		"a key with text after it":  {keyed(publicKey + "a comment\n"), true, "publicKey.keyData"},
		"a key with CR LF":          {keyed(crlf.Replace(publicKey)), true, "publicKey.keyData"},
		"a certificate with text":   {certified("a comment\n" + certificate), true, "pki.caRootsData"},
		"a certificate with CR LF":  {certified(crlf.Replace(certificate)), true, "pki.caRootsData"},
	}
}

// differsFromOpenShift has the API server validate policies as objects of both projects.
func (l *lab) differsFromOpenShift(t *testing.T) {
	t.Helper()
	crd := filepath.Join(openShiftAPI(t), "payload-manifests", "crds",
		"0000_10_config-operator_01_imagepolicies-CustomNoUpgrade.crd.yaml")
	rig.Must(l.cluster.Kubectl(t.Context(), "apply", "--server-side", "-f", crd))(t)
	defer func() { rig.Must(l.cluster.Kubectl(t.Context(), "delete", "-f", crd))(t) }()
	rig.Must(l.cluster.Kubectl(t.Context(), "wait", "--for=condition=Established", "--timeout=120s", "crd",
		"imagepolicies.config.openshift.io"))(t)
	for name, test := range openShiftDifferences() {
		t.Run(name, func(t *testing.T) {
			ours := l.cluster.Check(t.Context(), test.policy)
			test.policy["apiVersion"] = "config.openshift.io/v1"
			theirs := l.cluster.Check(t.Context(), test.policy)
			admitted, refused := theirs, ours
			if test.admitted {
				admitted, refused = ours, theirs
			}
			if admitted != nil || refused == nil || !strings.Contains(refused.Error(), test.field) {
				t.Errorf("ours: %v; OpenShift's: %v", ours, theirs)
			}
		})
	}
}
