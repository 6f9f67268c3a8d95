package signature_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// signedWith signs a payload with a hash; without one, the payload itself is signed.
func signedWith(t *testing.T, key crypto.Signer, options crypto.SignerOpts, payload []byte) signaturetest.Signature {
	t.Helper()
	hashed := payload
	if hash := options.HashFunc(); hash != 0 {
		state := hash.New()
		_, _ = state.Write(hashed)
		hashed = state.Sum(nil)
	}
	raw, err := key.Sign(rand.Reader, hashed, options)
	if err != nil {
		t.Fatal(err)
	}
	made := signaturetest.Sign(t, signaturetest.NewKey(t), appReference, digest.FromString("x"))
	made.Payload = payload
	made.Annotations[signedIn] = base64.StdEncoding.EncodeToString(raw)
	return made
}

func ecdsaKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func edwardsKey(t *testing.T) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestTheHashWithWhichAKeySigns compares docs/policy.md with what is accepted in the old format.
func TestTheHashWithWhichAKeySigns(t *testing.T) {
	manifest := signaturetest.Manifest("app")
	payload := signaturetest.Sign(t, signaturetest.NewKey(t), appReference, digest.FromBytes(manifest)).Payload
	p256, p384, p521 := ecdsaKey(t, elliptic.P256()), ecdsaKey(t, elliptic.P384()), ecdsaKey(t, elliptic.P521())
	edwards, one := edwardsKey(t), rsaKey(t)
	for name, test := range map[string]struct {
		key crypto.Signer
		// options describe how the statement is hashed. Zero hash: it is signed without hashing.
		options crypto.SignerOpts
		hash    string // The requirement's field "hash".
		want    bool
	}{
		"P-256, as cosign":                   {p256, crypto.SHA256, "", true},
		"P-256 with SHA-384":                 {p256, crypto.SHA384, "", false},
		"P-384, as cosign":                   {p384, crypto.SHA384, "", true},
		"P-384 with SHA-256":                 {p384, crypto.SHA256, "", true},
		"P-384 with SHA-512":                 {p384, crypto.SHA512, "", false},
		"P-521, as cosign":                   {p521, crypto.SHA512, "", true},
		"P-521 with SHA-256":                 {p521, crypto.SHA256, "", true},
		"P-521 with SHA-384":                 {p521, crypto.SHA384, "", false},
		"Ed25519, as cosign":                 {edwards, crypto.SHA512, "", true},
		"Ed25519 without hash before":        {edwards, crypto.Hash(0), "", true},
		"RSA, as cosign":                     {one, crypto.SHA256, "", true},
		"RSA with SHA-384":                   {one, crypto.SHA384, "", false},
		"RSA with SHA-384, as required":      {one, crypto.SHA384, "sha384", true},
		"RSA with SHA-512, as required":      {one, crypto.SHA512, "sha512", true},
		"RSA with SHA-256, unlike required":  {one, crypto.SHA256, "sha384", false},
		"RSA with SHA-512, unlike required":  {one, crypto.SHA512, "sha384", false},
		"RSA-PSS with SHA-384, not required": {one, &rsa.PSSOptions{Hash: crypto.SHA384}, "sha384", false},
	} {
		t.Run(name, func(t *testing.T) {
			app := newSample(t, manifest, signedWith(t, test.key, test.options, payload).File(t))
			members := map[string]any{
				"type": "sigstoreSigned", "keyData": signaturetest.PublicPEM(t, test.key.Public()),
			}
			if test.hash != "" {
				members["hash"] = test.hash
			}
			requirement := parse(t, data(members))[0]
			finding := signature.NewJudge().Judge(t.Context(), app.request(requirement, named(t, appReference)))
			if finding.Met != test.want || !finding.Met && finding.Cause != policy.OtherKey {
				t.Errorf("%s; want met: %t", show(finding), test.want)
			}
			if !finding.Met && test.hash == "" && !strings.Contains(finding.Detail, "; the requirement trusts sha256:") {
				t.Errorf("it names no key: %s", finding.Detail)
			}
		})
	}
}

// TestOtherHashesHaveTheVerdictsOfContainersImage: whatever is wrong with a signature, except its hash, has the same
// verdict as with the hash that containers/image verifies.
func TestOtherHashesHaveTheVerdictsOfContainersImage(t *testing.T) {
	manifest := signaturetest.Manifest("app")
	image := digest.FromBytes(manifest)
	key, log := ecdsaKey(t, elliptic.P384()), signaturetest.NewKey(t)
	good := signaturetest.Sign(t, signaturetest.NewKey(t), appReference, image).Payload
	replaced := func(old, by string) []byte {
		if !strings.Contains(string(good), old) {
			t.Fatalf("there is no %q in %s", old, good)
		}
		return []byte(strings.Replace(string(good), old, by, 1))
	}
	payloads := map[string][]byte{
		"good":                          good,
		"another image":                 replaced(image.String(), digest.FromString("x").String()),
		"no digest":                     replaced(image.String(), "x"),
		"another hash of the image":     replaced(image.String(), digest.SHA512.FromBytes(manifest).String()),
		"another name":                  replaced(appReference, "registry.example/other:v1"),
		"another tag":                   replaced(appReference, strings.TrimSuffix(appReference, ":v1")+":v2"),
		"no tag":                        replaced(appReference, strings.TrimSuffix(appReference, ":v1")),
		"no name":                       replaced(appReference, ""),
		"a name that is none":           replaced(appReference, "UPPER CASE"),
		"another type":                  replaced("cosign container image signature", "atomic container signature"),
		"one more critical key":         replaced(`"critical":{`, `"critical":{"x":1,`),
		"one more key":                  replaced(`{"critical"`, `{"x":1,"critical"`),
		"a key twice":                   replaced(`{"critical"`, `{"optional":null,"critical"`),
		"optional text":                 replaced(`"optional":null`, `"optional":{"any":"x","creator":"x","timestamp":7}`),
		"an optional creator, not text": replaced(`"optional":null`, `"optional":{"creator":7}`),
		"an optional time, no integer":  replaced(`"optional":null`, `"optional":{"timestamp":7.5}`),
		"an optional time, text":        replaced(`"optional":null`, `"optional":{"timestamp":"7"}`),
		"an optional list":              replaced(`"optional":null`, `"optional":[]`),
		"an optional key twice":         replaced(`"optional":null`, `"optional":{"a":1,"a":2}`),
		"an optional key in capitals":   replaced(`"optional":null`, `"optional":{"Timestamp":"x"}`),
		"optional nulls":                replaced(`"optional":null`, `"optional":{"timestamp":null,"creator":null}`),
		"no optional":                   replaced(`,"optional":null`, ""),
		"no JSON":                       []byte("x"),
		"empty":                         {},
		"data after it":                 append([]byte(string(good)), '{', '}'),
		"a space after it":              append([]byte(string(good)), ' '),
	}
	met := 0
	for name, payload := range payloads {
		t.Run(name, func(t *testing.T) {
			for _, identity := range []string{"", matchRepository, `{"type":"matchExact"}`} {
				for _, logged := range []bool{false, true} {
					members := map[string]any{"type": "sigstoreSigned", "keyData": signaturetest.PublicPEM(t, key.Public())}
					if identity != "" {
						members["signedIdentity"] = json.RawMessage(identity)
					}
					if logged {
						members["rekorPublicKeyData"] = signaturetest.PublicPEM(t, log.Public())
					}
					verdict := func(hash crypto.Hash) policy.Finding {
						signed := signedWith(t, key, hash, payload)
						if logged {
							signed = signed.Logged(t, log, signaturetest.PublicPEM(t, key.Public()), time.Now())
						}
						app := newSample(t, manifest, signed.File(t))
						return signature.NewJudge().Judge(t.Context(), app.request(parse(t, data(members))[0], named(t, appReference)))
					}
					ours, theirs := verdict(crypto.SHA384), verdict(crypto.SHA256)
					if ours.Met != theirs.Met || ours.Cause != theirs.Cause {
						t.Errorf("%s, logged %t: %s, containers/image: %s", identity, logged, show(ours), show(theirs))
					}
					if ours.Met {
						met++
					}
				}
			}
		})
	}
	if met < 6 {
		t.Errorf("%d verdicts are yes: there is nothing to compare", met)
	}
}

// TestOtherHashesMustBeLogged: a requirement with a key of Rekor demands an entry, whatever the hash.
func TestOtherHashesMustBeLogged(t *testing.T) {
	manifest := signaturetest.Manifest("app")
	key, log, other := ecdsaKey(t, elliptic.P384()), signaturetest.NewKey(t), signaturetest.NewKey(t)
	payload := signaturetest.Sign(t, signaturetest.NewKey(t), appReference, digest.FromBytes(manifest)).Payload
	signed := signedWith(t, key, crypto.SHA384, payload)
	requirement := parse(t, data(map[string]any{
		"type": "sigstoreSigned", "keyData": signaturetest.PublicPEM(t, key.Public()),
		"rekorPublicKeyData": signaturetest.PublicPEM(t, log.Public()),
	}))[0]
	pem := signaturetest.PublicPEM(t, key.Public())
	for name, test := range map[string]struct {
		signature signaturetest.Signature
		want      bool
	}{
		"in the log":     {signed.Logged(t, log, pem, time.Now()), true},
		"in another log": {signed.Logged(t, other, pem, time.Now()), false},
		"in no log":      {signed, false},
		"for another key": {
			signed.Logged(t, log, signaturetest.PublicPEM(t, other.Public()), time.Now()), false,
		},
	} {
		app := newSample(t, manifest, test.signature.File(t))
		finding := signature.NewJudge().Judge(t.Context(), app.request(requirement, named(t, appReference)))
		if finding.Met != test.want || !finding.Met && finding.Cause != policy.NotLogged {
			t.Errorf("%s: %s", name, show(finding))
		}
	}
}

func TestTheFieldHashIsStrict(t *testing.T) {
	one := data(signaturetest.PublicPEM(t, rsaKey(t).Public()))
	p384 := data(signaturetest.PublicPEM(t, ecdsaKey(t, elliptic.P384()).Public()))
	for name, test := range map[string]struct{ members, want string }{
		"SHA-256":     {`"hash":"sha256","keyData":` + one, `it is "sha256" and must be "sha384" or "sha512"`},
		"in capitals": {`"hash":"SHA384","keyData":` + one, `it is "SHA384"`},
		"empty":       {`"hash":"","keyData":` + one, `"hash" is empty`},
		"a number":    {`"hash":384,"keyData":` + one, "is a number and must be a string"},
		"twice":       {`"hash":"sha384","hash":"sha512","keyData":` + one, `duplicate key "hash"`},
		"an identity": {
			`"hash":"sha384","fulcio":{` + caAndIssuer + `,"subjectEmail":"a@b.example"}` + someLog, "hash is for keys",
		},
		"a PKI": {`"hash":"sha384","pki":{"caRootsPath":"/ca","subjectEmail":"a@b.example"}`, "hash is for keys"},
	} {
		_, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(list(rootRequirement(test.members))), noFiles)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v; want %q", name, err, test.want)
		}
	}
	used := parse(t, rootRequirement(`"hash":"sha384","keyData":`+one))[0]
	if used.Problem != "" || len(used.Extensions) != 1 || used.Extensions[0] != "hash" {
		t.Errorf("%s, %q", used.Problem, used.Extensions)
	}
	useless := parse(t, rootRequirement(`"hash":"sha384","keyData":`+p384))[0]
	if !strings.Contains(useless.Problem, "is not an RSA key") {
		t.Errorf("the problem of another key is %q", useless.Problem)
	}
}
