package compile_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/agent/api/v1alpha1"
	"github.com/countersign/countersign/plugin/agent/compile"
)

func newKey(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func newAuthority(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func newGPGKey(t *testing.T) []byte {
	t.Helper()
	entity, err := openpgp.NewEntity("signer", "", "signer@corp.example", nil)
	if err != nil {
		t.Fatal(err)
	}
	var public bytes.Buffer
	if err := entity.Serialize(&public); err != nil {
		t.Fatal(err)
	}
	return public.Bytes()
}

// document returns the requirements of quay.io/a, and the problems, if a policy has that scope.
func document(t *testing.T, policy v1alpha1.Policy) (requirements []map[string]any, problems []compile.Problem) {
	t.Helper()
	_, made := layers{namespaced: []v1alpha1.ImagePolicy{namespaced("own", spec(policy, "quay.io/a"))}}.compile(t)
	var parsed struct {
		Transports map[string]map[string][]map[string]any `json:"transports"`
	}
	if err := json.Unmarshal(made.JSON, &parsed); err != nil {
		t.Fatalf("%s: %v", made.JSON, err)
	}
	return parsed.Transports["docker"]["quay.io/a"], made.Problems["own"]
}

func TestEachRootOfTrustIsOneRequirement(t *testing.T) {
	key, authority, gpg := newKey(t), newAuthority(t), newGPGKey(t)
	tests := map[string]struct {
		policy v1alpha1.Policy
		want   []string // the fields of the requirement
	}{
		"one key": {signed(key), []string{"keyData", "type=sigstoreSigned"}},
		"several keys, and logs": {
			v1alpha1.Policy{RootOfTrust: v1alpha1.RootOfTrust{
				PolicyType: v1alpha1.PublicKeyType,
				PublicKey:  &v1alpha1.PublicKey{KeyDatas: [][]byte{key, newKey(t)}, RekorKeyDatas: [][]byte{key}},
			}},
			[]string{"keyDatas", "rekorPublicKeyDatas", "type=sigstoreSigned"},
		},
		"an identity of Fulcio": {
			v1alpha1.Policy{RootOfTrust: v1alpha1.RootOfTrust{
				PolicyType: v1alpha1.FulcioCAWithRekorType,
				FulcioCAWithRekor: &v1alpha1.FulcioCAWithRekor{
					FulcioCAData: authority, RekorKeyData: key, FulcioSubject: v1alpha1.FulcioSubject{
						OIDCIssuer: "https://accounts.corp.example", SignedEmail: "dev@corp.example",
					},
				},
			}},
			[]string{"fulcio", "rekorPublicKeyData", "type=sigstoreSigned"},
		},
		"an identity of other authorities": {
			v1alpha1.Policy{RootOfTrust: v1alpha1.RootOfTrust{
				PolicyType: v1alpha1.PKIType, PKI: &v1alpha1.PKI{
					CARootsData: authority, PKICertificateSubject: v1alpha1.PKICertificateSubject{Email: "dev@corp.example"},
				},
			}},
			[]string{"pki", "type=sigstoreSigned"},
		},
		"OpenPGP keys, binary and armored": {
			openPGP(gpg, armored(t, newGPGKey(t))), []string{"keyData", "keyType=GPGKeys", "type=signedBy"},
		},
		"nothing":  {root(v1alpha1.AcceptType), []string{"type=insecureAcceptAnything"}},
		"no image": {root(v1alpha1.RejectType), []string{"type=reject"}},
		"an exact name": {
			named(signed(key), exact("quay.io/b")), []string{"keyData", "signedIdentity", "type=sigstoreSigned"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, problems := document(t, test.policy)
			if len(problems) > 0 || len(got) != 1 {
				t.Fatalf("requirements %v, problems %v", got, problems)
			}
			var fields []string
			for field, value := range got[0] {
				if text, ok := value.(string); ok && !strings.Contains(field, "Data") {
					field += "=" + text
				}
				fields = append(fields, field)
			}
			sortStrings(fields)
			if diff := cmp.Diff(test.want, fields); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPolicyThatCannotBeUsedRefusesItsScopes(t *testing.T) {
	key := newKey(t)
	for name, policy := range map[string]v1alpha1.Policy{
		"a key is no PEM":                    signed([]byte("key")),
		"a key is garbage in PEM":            signed([]byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")),
		"there is no key":                    signed(nil),
		"a type has no field":                root(v1alpha1.PublicKeyType),
		"Fulcio has no field":                root(v1alpha1.FulcioCAWithRekorType),
		"PKI has no field":                   root(v1alpha1.PKIType),
		"GPGKeys has no field":               root(v1alpha1.GPGKeysType),
		"the type is unknown":                root("Magic"),
		"the identity is unknown":            named(signed(key), matching("Magic")),
		"the identity has no repository":     named(signed(key), matching(v1alpha1.ExactRepository)),
		"the identity has no prefix":         named(signed(key), matching(v1alpha1.RemapIdentity)),
		"the repository is no name":          named(signed(key), exact("quay.io/Upper:tag:tag")),
		"an identity without a signature":    named(root(v1alpha1.AcceptType), exact("quay.io/b")),
		"one of several keys is none":        several(key, []byte("key")),
		"an OpenPGP key is none":             openPGP(newGPGKey(t), []byte("key")),
		"there is no OpenPGP key":            openPGP(),
		"an authority is no certificate":     fulcio(key, key),
		"the key of the log is no key":       fulcio(newAuthority(t), []byte("key")),
		"both forms of keys are set at once": both(key),
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := document(t, policy)
			if len(got) != 1 || got[0]["type"] != "reject" {
				t.Errorf("requirements: %v", got)
			}
			if len(problems) != 1 || problems[0].Reason != compile.InvalidPolicy || problems[0].Detail == "" {
				t.Errorf("problems: %v", problems)
			}
		})
	}
}

func named(policy v1alpha1.Policy, identity v1alpha1.SignedIdentity) v1alpha1.Policy {
	policy.SignedIdentity = &identity
	return policy
}

func matching(policy v1alpha1.MatchPolicy) v1alpha1.SignedIdentity {
	return v1alpha1.SignedIdentity{MatchPolicy: policy}
}

func exact(repository v1alpha1.RepositoryPrefix) v1alpha1.SignedIdentity {
	return v1alpha1.SignedIdentity{
		MatchPolicy: v1alpha1.ExactRepository, ExactRepository: &v1alpha1.ExactRepositoryIdentity{Repository: repository},
	}
}

func several(keys ...[]byte) v1alpha1.Policy {
	policy := root(v1alpha1.PublicKeyType)
	policy.RootOfTrust.PublicKey = &v1alpha1.PublicKey{KeyDatas: keys}
	return policy
}

func openPGP(keys ...[]byte) v1alpha1.Policy {
	policy := root(v1alpha1.GPGKeysType)
	policy.RootOfTrust.GPGKeys = &v1alpha1.GPGKeys{KeyDatas: keys}
	return policy
}

func armored(t *testing.T, key []byte) []byte {
	t.Helper()
	var text bytes.Buffer
	writer, err := armor.Encode(&text, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(key); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

func both(key []byte) v1alpha1.Policy {
	policy := several(key)
	policy.RootOfTrust.PublicKey.KeyData = key
	return policy
}

func fulcio(authority, log []byte) v1alpha1.Policy {
	policy := root(v1alpha1.FulcioCAWithRekorType)
	policy.RootOfTrust.FulcioCAWithRekor = &v1alpha1.FulcioCAWithRekor{
		FulcioCAData: authority, RekorKeyData: log,
		FulcioSubject: v1alpha1.FulcioSubject{OIDCIssuer: "https://a.example", SignedEmail: "a@b.example"},
	}
	return policy
}
