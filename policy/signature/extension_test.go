package signature_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	containers "go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

const (
	caAndIssuer = `"caPath":"testdata/containers-image/fulcio_v1.crt.pem","oidcIssuer":"https://issuer.example"`
	someLog     = `,"rekorPublicKeyPath":"testdata/containers-image/rekor.pub"`
	workflowURI = `"subjectURI":"https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1"`
	releases    = `"subjectURIPattern":"https://github\\.com/acme/.*"`
)

// extendedBy returns a requirement whose "fulcio" has these members in addition to the authority and the issuer.
func extendedBy(members string) string {
	return `{"type":"sigstoreSigned","fulcio":{` + caAndIssuer + `,` + members + `}` + someLog + `}`
}

func TestExtensionFieldsLoad(t *testing.T) {
	claims := `,"sourceRepositoryURI":"https://github.com/acme/app","sourceRepositoryRef":"refs/tags/v1",` +
		`"sourceRepositoryOwnerURI":"https://github.com/acme","runnerEnvironment":"github-hosted","buildTrigger":"push"`
	for name, test := range map[string]struct {
		requirement string
		extensions  []string
	}{
		"a URI":     {extendedBy(workflowURI), []string{"fulcio.subjectURI"}},
		"a pattern": {extendedBy(releases), []string{"fulcio.subjectURIPattern"}},
		"a build signer": {
			extendedBy(`"buildSignerURI":"https://github.com/acme/app"`),
			[]string{"fulcio.buildSignerURI"},
		},
		"a URI of another scheme": {
			extendedBy(`"subjectURI":"spiffe://acme.example/ns/ci"`),
			[]string{"fulcio.subjectURI"},
		},
		"an escaped name of a field": {extendedBy(`"subject\u0055RI":"https://a.example/b"`), []string{"fulcio.subjectURI"}},
		"an address and a claim": {
			extendedBy(`"subjectEmail":"a@b.example","buildTrigger":"push"`), []string{"fulcio.buildTrigger"},
		},
		"every claim": {extendedBy(workflowURI + claims), []string{
			"fulcio.subjectURI", "fulcio.sourceRepositoryURI", "fulcio.sourceRepositoryRef", "fulcio.sourceRepositoryOwnerURI",
			"fulcio.runnerEnvironment", "fulcio.buildTrigger",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := containers.NewPolicyFromBytes([]byte(list(test.requirement))); err == nil {
				t.Error("containers/image loads it: it may mean something else there")
			}
			requirement := parse(t, test.requirement)[0]
			if !slices.Equal(requirement.Extensions, test.extensions) || requirement.Problem != "" {
				t.Errorf("%q, %s; want %q", requirement.Extensions, requirement.Problem, test.extensions)
			}
		})
	}
}

// TestExtensionFieldsAreStrict: every error has the position of the field, and one sentence.
func TestExtensionFieldsAreStrict(t *testing.T) {
	for name, test := range map[string]struct{ members, want string }{
		"an empty URI":     {`"subjectURI": ""`, `"subjectURI" is empty`},
		"null":             {`"subjectURI": null`, `"subjectURI" is a null and must be a string`},
		"a number":         {`"subjectURI": 5`, `"subjectURI" is a number and must be a string`},
		"an array":         {`"subjectURI": []`, `"subjectURI" is an array and must be a string`},
		"an object":        {`"subjectURI": {}`, `"subjectURI" is an object and must be a string`},
		"a boolean":        {`"buildTrigger": true`, `"buildTrigger" is a boolean and must be a string`},
		"bytes, not UTF-8": {"\"subjectURI\": \"https://a.example/\xff\"", `"subjectURI" is not UTF-8`},
		"the same key twice": {
			`"subjectURI": "https://a.example/b", "subjectURI": "https://a.example/b"`,
			`duplicate key "subjectURI"`,
		},
		"twice, once escaped": {
			`"subjectURI": "https://a.example/b", "subject\u0055RI": "https://a.example/b"`,
			`duplicate key "subjectURI"`,
		},
		"an old key twice":  {workflowURI + `, "oidcIssuer": "https://evil.example"`, `duplicate key "oidcIssuer"`},
		"an unknown key":    {workflowURI + `, "subjectUri": "x"`, `unknown key "subjectUri"`},
		"a key in capitals": {workflowURI + `, "BUILDTRIGGER": "x"`, `unknown key "BUILDTRIGGER"`},
		"two URIs": {
			workflowURI + `, "buildSignerURI": "https://a.example"`,
			"it has subjectURI and buildSignerURI, and must have exactly one",
		},
		"a URI and an address": {
			workflowURI + `, "subjectEmail": "a@b.example"`,
			"it has subjectURI and subjectEmail, and must",
		},
		"a URI and no address": {workflowURI + `, "subjectEmail": ""`, `"subjectEmail" is empty`},
		"a URI and a pattern":  {workflowURI + `, ` + releases, "it has subjectURI and subjectURIPattern"},
		"claims of nobody": {
			`"buildTrigger": "push"`,
			"it has none, and must have exactly one of subjectEmail, subjectURI",
		},
		"a URI without a scheme": {`"subjectURI": "github.com/acme"`, "is not a URI with a scheme"},
		"a URI with a space":     {`"subjectURI": "https://a.example/ b"`, "contains a space"},
		"a URI with a line feed": {
			`"subjectURI": "https://a.example/b\n"`,
			"contains a character that is not printable ASCII",
		},
		"a long URI": {
			`"subjectURI": "https://a.example/` + strings.Repeat("a", 1024) + `"`,
			"and the maximum is 1024",
		},
		"an owner, not a URI":    {workflowURI + `, "sourceRepositoryOwnerURI": "acme"`, "is not a URI with a scheme"},
		"a ref with a line feed": {workflowURI + `, "sourceRepositoryRef": "refs/tags/v1\n"`, "not printable ASCII"},
		"a pattern of all": {
			`"subjectURIPattern": ".*"`,
			"subjectURIPattern: it must begin with the fixed text https://HOST/OWNER/",
		},
		"a pattern of no RE2": {
			`"subjectURIPattern": "https://a\\.example/b/("`,
			"is not a regular expression in RE2's syntax",
		},
	} {
		t.Run(name, func(t *testing.T) {
			document := "{\n \"default\": [{\"type\": \"reject\"},\n  {\"type\": \"sigstoreSigned\"" + someLog +
				",\n   \"fulcio\": {" + caAndIssuer + ",\n    " + test.members + "}}]}"
			_, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(document), noFiles)
			position, ok := errors.AsType[*policy.PositionError](err)
			if !ok {
				t.Fatalf("%v is at no place", err)
			}
			if !strings.Contains(err.Error(), test.want) ||
				!strings.HasPrefix(err.Error(), "the default: requirement 2: fulcio: ") {
				t.Errorf("%s; want %s", err, test.want)
			}
			// What is wrong with "fulcio" as a whole is at its beginning.
			line, column := 5, 5+strings.LastIndex(test.members, ": ")+2
			if strings.Contains(test.want, "it has ") {
				line, column = 4, 14
			}
			if position.Line != line || position.Column != column && !strings.HasPrefix(test.members, workflowURI) {
				t.Errorf("it is at %d:%d, want %d:%d: %s", position.Line, position.Column, line, column, err)
			}
			if strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("%q is not one line", err)
			}
		})
	}
}

// TestTheRestOfAnExtendedRequirementIsContainersImages: whatever is wrong with a requirement is wrong with the same one
// that has an extension field in addition.
func TestTheRestOfAnExtendedRequirementIsContainersImages(t *testing.T) {
	const address = `"subjectEmail":"a@b.example"`
	for name, format := range map[string]string{
		"no log": `{"type":"sigstoreSigned","fulcio":{` + caAndIssuer + `,%s}}`,
		"a key too": `{"type":"sigstoreSigned","keyPath":"/key","fulcio":{` +
			caAndIssuer + `,%s}` + someLog + `}`,
		"a PKI too":        `{"type":"sigstoreSigned","pki":{},"fulcio":{` + caAndIssuer + `,%s}` + someLog + `}`,
		"no issuer":        `{"type":"sigstoreSigned","fulcio":{"caPath":"/ca",%s}` + someLog + `}`,
		"an issuer of two": `{"type":"sigstoreSigned","fulcio":{"caPath":"/ca","oidcIssuer":["a"],%s}` + someLog + `}`,
		"no authority":     `{"type":"sigstoreSigned","fulcio":{"oidcIssuer":"https://issuer.example",%s}` + someLog + `}`,
		"two authorities": `{"type":"sigstoreSigned","fulcio":{"caData":"YQ==",` +
			caAndIssuer + `,%s}` + someLog + `}`,
		"an authority of a number": `{"type":"sigstoreSigned","fulcio":{"caPath":5,"oidcIssuer":"https://i.example",%s}` +
			someLog + `}`,
		"two logs": `{"type":"sigstoreSigned","rekorPublicKeyData":"YQ==","fulcio":{` +
			caAndIssuer + `,%s}` + someLog + `}`,
		"the type twice": `{"type":"sigstoreSigned","type":"sigstoreSigned","fulcio":{` +
			caAndIssuer + `,%s}` + someLog + `}`,
		"fulcio twice":   `{"type":"sigstoreSigned","fulcio":{},"fulcio":{` + caAndIssuer + `,%s}` + someLog + `}`,
		"an unknown key": `{"type":"sigstoreSigned","more":1,"fulcio":{` + caAndIssuer + `,%s}` + someLog + `}`,
		"another type": `{"type":"signedBy","keyType":"GPGKeys","fulcio":{` +
			caAndIssuer + `,%s}` + someLog + `}`,
		"no type": `{"fulcio":{` + caAndIssuer + `,%s}` + someLog + `}`,
		"an identity of no type": `{"type":"sigstoreSigned","signedIdentity":{},"fulcio":{` +
			caAndIssuer + `,%s}` + someLog + `}`,
		"fulcio in an array": `{"type":"sigstoreSigned","fulcio":[{` + caAndIssuer + `,%s}]` + someLog + `}`,
		"it is in pki":       `{"type":"sigstoreSigned","pki":{"caRootsPath":"/ca",%s,"x":1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, member := range []string{address, workflowURI, releases, address + `,"buildTrigger":"push"`} {
				document := list(fmt.Sprintf(format, member))
				if _, err := containers.NewPolicyFromBytes([]byte(document)); err == nil {
					t.Errorf("containers/image loads %s", document)
				}
				if _, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(document), noFiles); err == nil {
					t.Errorf("it loads: %s", document)
				}
			}
		})
	}
}

// TestAnExtendedRequirementIsOneOfItsList: the others are still checked by containers/image.
func TestAnExtendedRequirementIsOneOfItsList(t *testing.T) {
	key := sigstoreSigned(keyPath("cosign.pub"), "")
	all := parse(t, key+","+extendedBy(workflowURI)+`,{"type":"insecureAcceptAnything"}`)
	if len(all) != 3 || all[0].Extensions != nil || all[1].Extensions == nil ||
		all[2].Kind != policy.InsecureAcceptAnything {
		t.Errorf("%+v", all)
	}
	document := list(extendedBy(workflowURI) + `,{"type":"rejcet"}`)
	if _, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(document), noFiles); err == nil {
		t.Error("another requirement of the list is not checked")
	}
	var warned []string
	for _, warning := range signature.Kinds(nil).Warnings(&policy.Document{Default: all[:2]}) {
		warned = append(warned, warning.Text)
	}
	const want = "requirement 2 (sigstoreSigned) uses extensions of countersign (fulcio.subjectURI): podman, skopeo and " +
		"CRI-O do not load this document"
	if !slices.Equal(warned, []string{want}) {
		t.Errorf("warnings %q", warned)
	}
}
