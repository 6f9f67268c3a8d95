package kubernetes_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/kubernetes"
	"github.com/countersign/countersign/integration/rig"
)

type object = kubernetes.Object

// imagePolicy returns an ImagePolicy with these scopes.
func imagePolicy(policy object, scopes ...string) object {
	return object{
		"apiVersion": "policy.countersign.dev/v1alpha1", "kind": "ImagePolicy",
		"metadata": object{"name": "policy", "namespace": prod},
		"spec":     object{"scopes": append([]string{}, scopes...), "policy": policy},
	}
}

// rooted returns a policy with a root of trust of a type, which has a field, unless that is "".
func rooted(kind, field string, value object) object {
	root := object{"policyType": kind}
	if field != "" {
		root[field] = value
	}
	return object{"rootOfTrust": root}
}

func withKey() object {
	return rooted("PublicKey", "publicKey", object{"keyData": base64ed(publicKey)})
}

func base64ed(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func fulcio(issuer, address string) object {
	return rooted("FulcioCAWithRekor", "fulcioCAWithRekor", object{
		"fulcioCAData": base64ed(certificate), "rekorKeyData": base64ed(publicKey),
		"fulcioSubject": object{"oidcIssuer": issuer, "signedEmail": address},
	})
}

const (
	certificate = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"
	publicKey   = "-----BEGIN PUBLIC KEY-----\nMFk=\n-----END PUBLIC KEY-----\n"
)

func pki(roots string, subject object) object {
	return rooted("PKI", "pki", object{"caRootsData": base64ed(roots), "pkiCertificateSubject": subject})
}

// identified returns a policy with a signedIdentity, which has a field, unless that is "".
func identified(match, field string, value object) object {
	identity := object{"matchPolicy": match}
	if field != "" {
		identity[field] = value
	}
	policy := withKey()
	policy["signedIdentity"] = identity
	return policy
}

func exactly(repository string) object {
	return identified("ExactRepository", "exactRepository", object{"repository": repository})
}

func inMode(mode string) object {
	made := imagePolicy(withKey(), "example.com")
	made["spec"].(object)["mode"] = mode
	return made
}

func clusterPolicy(policy, selector object) object {
	made := imagePolicy(policy, "example.com")
	made["kind"], made["metadata"] = "ClusterImagePolicy", object{"name": "policy"}
	made["spec"].(object)["namespaceSelector"] = selector
	return made
}

const someDigest = "@sha256:b7e686e30346e9ace664fa09c0275262f8b9a443ed56d22165a0e201f6488c13"

// TestTheAPIServerChecksPolicies applies the CRDs to a real API server, which accepts what OpenShift's kinds accept,
// and refuses what could never work.
func TestTheAPIServerChecksPolicies(t *testing.T) {
	t.Parallel()
	l := newLab(t, labConfig{})
	rig.Must(l.cluster.Kubectl(t.Context(), "apply", "--server-side", "-f", "../../conf/crds"))(t)
	rig.Must(l.cluster.Kubectl(t.Context(), "wait", "--for=condition=Established", "--timeout=120s", "crd",
		"imagepolicies.policy.countersign.dev", "clusterimagepolicies.policy.countersign.dev"))(t)
	for name, policy := range acceptedPolicies() {
		t.Run("accepts "+name, func(t *testing.T) {
			rig.OK(t, l.cluster.Check(t.Context(), policy))
		})
	}
	for name, test := range refusedPolicies() {
		t.Run("refuses "+name, func(t *testing.T) {
			err := l.cluster.Check(t.Context(), test.policy)
			if err == nil || !strings.Contains(err.Error(), test.message) {
				t.Errorf("the API server answers %v, want %q", err, test.message)
			}
		})
	}
	t.Run("as OpenShift's does", l.decidesAsOpenShift)
	t.Run("with listed differences", l.differsFromOpenShift)
	t.Run("kubectl explains the fields", func(t *testing.T) {
		// OpenShift's resource has the same name.
		text := rig.Must(l.cluster.Kubectl(t.Context(), "explain", "--api-version=policy.countersign.dev/v1alpha1",
			"imagepolicy.spec.policy.rootOfTrust"))(t)
		if !strings.Contains(text, "who has to sign an image") {
			t.Errorf("kubectl explain prints:\n%s", text)
		}
	})
}

func acceptedPolicies() map[string]object {
	key := withKey()
	keys := object{"keyDatas": []string{base64ed(publicKey), base64ed("a comment\r\n" + publicKey)}}
	remapped := object{"prefix": "example.com:5000", "signedPrefix": "mirror.com"}
	return map[string]object{
		"a host":                      imagePolicy(key, "example.com"),
		"a repository":                imagePolicy(key, "example.com/foo/bar"),
		"a tag":                       imagePolicy(key, "example.com/foo/bar:latest"),
		"a digest":                    imagePolicy(key, "example.com/foo/bar"+someDigest),
		"a wildcard":                  imagePolicy(key, "*.example.com"),
		"localhost with a port":       imagePolicy(key, "localhost:1234/a/b"),
		"localhost":                   imagePolicy(key, "localhost/foo/bar"),
		"a host of one label":         imagePolicy(key, "registry:5000/a"),
		"an IPv6 address":             imagePolicy(key, "[::1]:5000/a"),
		"a policy in audit mode":      inMode("audit"),
		"a policy that is enforced":   inMode("enforce"),
		"several scopes":              imagePolicy(key, "example.com", "quay.io/a", "docker.io/library/busybox:1"),
		"several keys":                imagePolicy(rooted("PublicKey", "publicKey", keys), "example.com"),
		"an identity of Fulcio":       imagePolicy(fulcio("https://oidc.localhost", "dev@example.com"), "example.com"),
		"an address of a PKI":         imagePolicy(pki(certificate, object{"email": "dev@example.com"}), "example.com"),
		"a host name of a PKI":        imagePolicy(pki(certificate, object{"hostname": "*.example.com"}), "example.com"),
		"OpenPGP keys":                imagePolicy(rooted("GPGKeys", "gpgKeys", keys), "example.com"),
		"accept":                      imagePolicy(rooted("Accept", "", nil), "example.com"),
		"reject":                      imagePolicy(rooted("Reject", "", nil), "example.com"),
		"an exact repository":         imagePolicy(exactly("example.com/a"), "example.com"),
		"any tag of the repository":   imagePolicy(identified("MatchRepository", "", nil), "example.com"),
		"a remapped host with a port": imagePolicy(identified("RemapIdentity", "remapIdentity", remapped), "example.com"),
		"a selector of namespaces":    clusterPolicy(key, object{"matchLabels": object{"stage": "prod"}}),
	}
}

// refusedPolicy is a policy, and a part of the API server's message.
type refusedPolicy struct {
	policy  object
	message string
}

func refusedPolicies() map[string]refusedPolicy {
	key := withKey()
	scope := func(scope, message string) refusedPolicy { return refusedPolicy{imagePolicy(key, scope), message} }
	policy := func(policy object, message string) refusedPolicy {
		return refusedPolicy{imagePolicy(policy, "example.com"), message}
	}
	return map[string]refusedPolicy{
		"another mode":             {inMode("warn"), "spec.mode"},
		"no scope at all":          {imagePolicy(key), "spec.scopes"},
		"the same scope twice":     {imagePolicy(key, "example.com", "example.com"), "Duplicate value"},
		"an empty scope":           scope("", "spec.scopes[0]"),
		"a short name":             scope("busybox", "begins with the host of a registry"),
		"a path below a wildcard":  scope("*.example.com/test", "a wildcard is written *.DOMAIN"),
		"a wildcard in a host":     scope("a.*.com", "a wildcard is written *.DOMAIN"),
		"a port after a wildcard":  scope("*.example.com:5000", "a wildcard is written *.DOMAIN"),
		"a digest that is none":    scope("example.com/a@sha256:12dsdf", "a digest is sha256:"),
		"a tag and a digest":       scope("example.com/a:v1"+someDigest, "not both"),
		"upper case":               scope("example.com/UPPER", "in lower case"),
		"a protocol":               scope("https://example.com/a", "no protocol"),
		"a slash at the end":       scope("example.com/a/", "no empty path element"),
		"a space":                  scope("example.com/a b", "no space"),
		"an unknown type":          policy(rooted("Magic", "", nil), "Unsupported value"),
		"a type without its field": policy(rooted("PublicKey", "", nil), "publicKey is required when policyType is"),
		"Fulcio without its field": policy(rooted("FulcioCAWithRekor", "", nil), "fulcioCAWithRekor is required"),
		"a field of another type": policy(rooted("Accept", "publicKey", object{"keyData": base64ed(publicKey)}),
			"publicKey is required when policyType is PublicKey, and forbidden otherwise"),
		"a key that is no PEM": policy(rooted("PublicKey", "publicKey", object{"keyData": base64ed("key")}),
			"a key is in PEM"),
		"a key in DER": policy(rooted("PublicKey", "publicKey", object{"keyData": base64ed("\xff\xfe")}),
			"a key is in PEM"),
		"one of several keys that is no PEM": policy(
			rooted("PublicKey", "publicKey", object{"keyDatas": []string{base64ed(publicKey), base64ed("key")}}),
			"a key is in PEM"),
		"a certificate without its end": policy(
			pki(certificate+"-----BEGIN CERTIFICATE-----\n", object{"email": "a@b.example"}),
			"-----END CERTIFICATE-----"),
		"a public key without a key": policy(rooted("PublicKey", "publicKey", object{}), "one of keyData and keyDatas"),
		"an issuer that is no URL":   policy(fulcio("no", "dev@example.com"), "oidcIssuer must be a valid URL"),
		"an address that is none":    policy(fulcio("https://a.example", "no"), "invalid email address"),
		"a PKI without certificates": policy(pki("no", object{"email": "a@b.example"}), "BEGIN CERTIFICATE"),
		"a PKI without a subject":    policy(pki(certificate, object{}), "at least one of email or hostname"),
		"an exact match without one": policy(identified("ExactRepository", "", nil), "exactRepository is required"),
		"a remap without prefixes":   policy(identified("RemapIdentity", "", nil), "remapIdentity is required"),
		"a tag in a repository":      policy(exactly("example.com/a:latest"), "should not include the tag or digest"),
		"a digest in a repository":   policy(exactly("example.com/a"+someDigest), "should not include the tag or digest"),
	}
}
