package convert_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/convert"
)

func newKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// indented returns a key as a block in YAML.
func indented(key string, spaces int) string {
	pad := strings.Repeat(" ", spaces)
	return "|\n" + pad + strings.ReplaceAll(strings.TrimSpace(key), "\n", "\n"+pad)
}

// converted returns the objects in YAML without their apiVersion, and what is refused.
func converted(t *testing.T, text string) (objects string, refused []string) {
	t.Helper()
	result, err := convert.Convert(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var written bytes.Buffer
	if err := result.Write(&written); err != nil {
		t.Fatal(err)
	}
	return written.String(), result.Refused
}

func policyController(images, authorities string) string {
	return "apiVersion: policy.sigstore.dev/v1beta1\nkind: ClusterImagePolicy\nmetadata: {name: p}\nspec:\n  images: [" +
		images + "]\n  authorities:\n" + authorities
}

func TestAPolicyOfPolicyControllerWithKeys(t *testing.T) {
	one, two := newKey(t), newKey(t)
	objects, refused := converted(t, policyController(
		`{glob: "ghcr.io/acme/**"}, {glob: "busybox:*"}, {glob: index.docker.io/a/b}`,
		"  - key: {hashAlgorithm: sha256, data: "+quoted(one)+"}\n  - key: {data: "+quoted(two)+"}\n"))
	want := `apiVersion: policy.countersign.dev/v1alpha1
kind: ClusterImagePolicy
metadata:
  name: p
spec:
  scopes:
    - ghcr.io/acme
    - docker.io/library/busybox
    - docker.io/a/b
  policy:
    rootOfTrust:
      policyType: PublicKey
      publicKey:
        keyDatas:
          - ` + base64.StdEncoding.EncodeToString([]byte(one)) + `
          - ` + base64.StdEncoding.EncodeToString([]byte(two)) + `
    signedIdentity:
      matchPolicy: MatchRepository
`
	if diff := cmp.Diff(want, objects); diff != "" || len(refused) > 0 {
		t.Errorf("%s\nrefused: %q", diff, refused)
	}
}

func quoted(key string) string { return `"` + strings.ReplaceAll(key, "\n", `\n`) + `"` }

func TestWhatPolicyControllerSaysAndWeCannot(t *testing.T) {
	key := "  - key: {data: " + quoted(newKey(t)) + "}\n"
	static := func(action string) string { return "  - static: {action: " + action + "}\n" }
	for name, test := range map[string]struct{ images, authorities, want string }{
		"every image":             {`{glob: "**"}`, key, "matches every image"},
		"a part of a name":        {`{glob: "ghcr.io/acme*"}`, key, "ends within a name"},
		"a wildcard inside":       {`{glob: "ghcr.io/*/app"}`, key, "wildcard in the middle"},
		"accepting one directory": {`{glob: "ghcr.io/acme/*"}`, static("pass"), "also matches those below it"},
		"an action":               {`{glob: "ghcr.io/acme"}`, static("warn"), `with action "warn"`},
		"a static and a key":      {`{glob: "ghcr.io/acme"}`, static("pass") + key, "next to other authorities"},
		"no authority":            {`{glob: "ghcr.io/acme"}`, "", "spec.authorities is empty"},
		"no image":                {``, key, "spec.images has no pattern"},
		"a key in a secret":       {`{glob: "a.io/b"}`, "  - key: {secretRef: {name: a}}\n", "key has its key in a secret"},
		"a key management":        {`{glob: "a.io/b"}`, "  - key: {kms: \"gcpkms://a\"}\n", "key management service"},
		"no key":                  {`{glob: "a.io/b"}`, "  - key: {data: text}\n", "no key in PEM"},
		"a hash":                  {`{glob: "a.io/b"}`, "  - key: {hashAlgorithm: sha512}\n", `"sha512" cannot be said`},
		"attestations":            {`{glob: "a.io/b"}`, "  - attestations: [{name: a}]\n", "field attestations not found"},
		"a log":                   {`{glob: "a.io/b"}`, "  - {key: {data: a}, ctlog: {url: r}}\n", "ctlog cannot be said"},
	} {
		t.Run(name, func(t *testing.T) {
			objects, refused := converted(t, policyController(test.images, test.authorities))
			if objects != "" || !strings.Contains(strings.Join(refused, "\n"), "ClusterImagePolicy p: ") ||
				!strings.Contains(strings.Join(refused, "\n"), test.want) {
				t.Errorf("refused %q, want %q; objects:\n%s", refused, test.want, objects)
			}
		})
	}
}

// kyvernoPolicy returns Kyverno's example of a policy that verifies images, with the entries of an attestor.
func kyvernoPolicy(kind, resources, verify string) string {
	return `apiVersion: kyverno.io/v1
kind: ` + kind + `
metadata: {name: check-image, namespace: team}
spec:
  validationFailureAction: Enforce
  background: false
  webhookTimeoutSeconds: 30
  failurePolicy: Fail
  rules:
  - name: signed
    match: {any: [{resources: ` + resources + `}]}
    verifyImages:
    - imageReferences: ["ghcr.io/acme/*"]
      mutateDigest: true
` + verify
}

func entry(key, rekor string) string {
	return `        - keys:
            publicKeys: ` + indented(key, 14) + `
            rekor: ` + rekor + "\n"
}

func TestAPolicyOfKyverno(t *testing.T) {
	one, two := newKey(t), newKey(t)
	objects, refused := converted(t, kyvernoPolicy("ClusterPolicy", "{kinds: [Pod], namespaces: [prod]}",
		"      attestors:\n      - count: 1\n        entries:\n"+entry(one+two, "{ignoreTlog: true}")+
			"      - entries:\n"+entry(two, "{pubkey: "+quoted(one)+"}")))
	encoded := func(key string) string { return base64.StdEncoding.EncodeToString([]byte(key)) }
	object := func(name, keys string) string {
		return `apiVersion: policy.countersign.dev/v1alpha1
kind: ClusterImagePolicy
metadata:
  name: ` + name + `
spec:
  scopes:
    - ghcr.io/acme
  policy:
    rootOfTrust:
      policyType: PublicKey
      publicKey:
` + keys + `    signedIdentity:
      matchPolicy: MatchRepository
  mode: enforce
  namespaceSelector:
    matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values:
          - prod
`
	}
	first := "        keyDatas:\n          - " + encoded(one) + "\n          - " + encoded(two) + "\n"
	second := "        keyData: " + encoded(two) + "\n        rekorKeyData: " + encoded(one) + "\n"
	want := object("check-image-signed", first) + "---\n" + object("check-image-signed-2", second)
	if diff := cmp.Diff(want, objects); diff != "" || len(refused) > 0 {
		t.Errorf("%s\nrefused: %q", diff, refused)
	}
}

func TestWhatKyvernoSaysAndWeCannot(t *testing.T) {
	attestors := "      attestors:\n      - entries:\n"
	signed := attestors + entry(newKey(t), "{ignoreTlog: true}")
	pods := "{kinds: [Pod]}"
	const cluster = "ClusterPolicy"
	for name, test := range map[string]struct{ kind, resources, verify, want string }{
		"deployments":           {cluster, "{kinds: [Deployment]}", signed, "a policy is about Pods"},
		"pods by label":         {cluster, "{kinds: [Pod], selector: {}}", signed, "field selector not found"},
		"a wildcard":            {cluster, `{kinds: [Pod], namespaces: ["prod-*"]}`, signed, "with a wildcard"},
		"namespaces of another": {"Policy", "{kinds: [Pod], namespaces: [prod]}", signed, "an ImagePolicy has its own"},
		"no log": {
			cluster, pods, attestors + entry(newKey(t), "{url: \"https://a\"}"), "keys.rekor has no pubkey",
		},
		"no attestor": {cluster, pods, "", "has no attestor"},
		"a secret": {
			cluster, pods, attestors + "        - keys: {secret: {name: a}}\n", "field secret not found",
		},
		"a variable": {
			cluster, pods, attestors + "        - keys: {publicKeys: \"{{ keys }}\"}\n", "variables cannot be said",
		},
		"keyless": {
			cluster, pods, attestors + "        - keyless: {subject: a}\n", "keyless and certificates cannot be said",
		},
		"notary":       {cluster, pods, "      type: Notary\n" + signed, `type "Notary" cannot be said`},
		"not required": {cluster, pods, "      required: false\n" + signed, "required: false cannot be said"},
		"attestations": {cluster, pods, "      attestations: []\n" + signed, "field attestations not found"},
		"two of three": {
			cluster, pods,
			"      attestors:\n      - count: 2\n        entries:\n" +
				entry(newKey(t)+newKey(t)+newKey(t), "{ignoreTlog: true}"),
			"count 2 of 3 keys",
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects, refused := converted(t, kyvernoPolicy(test.kind, test.resources, test.verify))
			if objects != "" || !strings.Contains(strings.Join(refused, "\n"), test.want) {
				t.Errorf("refused %q, want %q; objects:\n%s", refused, test.want, objects)
			}
		})
	}
}

// TestKyvernoAuditsIfNothingIsSaid, and a Policy is an ImagePolicy of its namespace.
func TestKyvernoAuditsIfNothingIsSaid(t *testing.T) {
	policy := kyvernoPolicy("Policy", "{kinds: [Pod]}",
		"      attestors:\n      - entries:\n"+entry(newKey(t), "{ignoreTlog: true}"))
	objects, refused := converted(t, strings.Replace(policy, "  validationFailureAction: Enforce\n", "", 1))
	for _, want := range []string{"kind: ImagePolicy\n", "  namespace: team\n", "  mode: audit\n"} {
		if !strings.Contains(objects, want) {
			t.Errorf("no %q in\n%s%q", want, objects, refused)
		}
	}
}

func TestPoliciesOfOpenShift(t *testing.T) {
	const list = `apiVersion: v1
kind: List
items:
- apiVersion: config.openshift.io/v1alpha1
  kind: ImagePolicy
  metadata: {name: a, namespace: team, labels: {by: ops}, uid: x}
  spec:
    scopes: [example.com/a]
    policy:
      rootOfTrust:
        policyType: FulcioCAWithRekor
        fulcioCAWithRekor:
          fulcioCAData: QUJD
          rekorKeyData: REVG
          fulcioSubject: {oidcIssuer: "https://a.example", signedEmail: a@b.example}
      signedIdentity:
        matchPolicy: RemapIdentity
        remapIdentity: {prefix: a.example, signedPrefix: b.example}
- apiVersion: config.openshift.io/v1
  kind: ClusterImagePolicy
  metadata: {name: b}
  spec:
    scopes: [example.com/b]
    policy:
      rootOfTrust:
        policyType: PKI
        pki: {caRootsData: QUJD, pkiCertificateSubject: {email: a@b.example, hostname: b.example}}
- apiVersion: config.openshift.io/v1
  kind: ClusterImagePolicy
  metadata: {name: c}
  spec: {scopes: [], policy: {rootOfTrust: {policyType: PublicKey}}}
- apiVersion: config.openshift.io/v1
  kind: ClusterImagePolicy
  metadata: {name: d}
  spec: {scopes: [a.example], policy: {rootOfTrust: {policyType: PublicKey, future: 1}}}
`
	objects, refused := converted(t, list)
	for _, want := range []string{
		"namespace: team", "by: ops", "fulcioCAData: QUJD", "signedEmail: a@b.example", "signedPrefix: b.example",
		"kind: ClusterImagePolicy", "caRootsData: QUJD", "hostname: b.example",
	} {
		if !strings.Contains(objects, want) {
			t.Errorf("no %q in\n%s", want, objects)
		}
	}
	wanted := []string{
		"ClusterImagePolicy c: spec.scopes is empty, so that it applies to no image",
		"ClusterImagePolicy d: field future not found, which cannot be said",
	}
	if diff := cmp.Diff(wanted, refused); diff != "" || strings.Contains(objects, "uid") {
		t.Errorf("refused: %s\n%s", diff, objects)
	}
}
