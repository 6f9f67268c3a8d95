package signature_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

const provenance = `"predicateType":"https://slsa.dev/provenance/v1"`

func TestAttestedRequirementsLoad(t *testing.T) {
	const key = `"keyPath":"testdata/containers-image/cosign.pub"`
	for name, test := range map[string]struct {
		requirement string
		description string
	}{
		"a key": {
			`{"type":"attested",` + provenance + `,` + key + `}`,
			"an attestation of type https://slsa.dev/provenance/v1 by sha256:",
		},
		"a condition": {
			`{"type":"attested",` + provenance + `,` + key + `,"where":"predicate.a == 1"}`, ", where predicate.a == 1",
		},
		"a workflow": {
			`{"where":"predicate.b == 'x'",` + provenance + `,"type":"attested","fulcio":{
				"caPath":"testdata/containers-image/fulcio_v1.crt.pem","oidcIssuer":"https://issuer.example",
				"subjectURIPattern":"https://github\\.com/acme/.*"},"rekorPublicKeyPath":"testdata/containers-image/rekor.pub"}`,
			"by a workflow whose URI matches",
		},
		"another identity": {
			`{"type":"attested",` + provenance + `,` + key + `,"signedIdentity":{"type":"exactRepository",
				"dockerRepository":"registry.example/signed"}}`,
			"for the repository registry.example/signed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			requirement := attested(t, test.requirement)
			if requirement.Kind != policy.Attested || !requirement.NeedsEvidence || requirement.Problem != "" {
				t.Fatalf("%+v", requirement)
			}
			if requirement.PredicateType != "https://slsa.dev/provenance/v1" {
				t.Errorf("predicate type %q", requirement.PredicateType)
			}
			kinds := signature.Kinds(nil)
			if description := kinds.Describe(requirement); !strings.Contains(description, test.description) {
				t.Errorf("description %q, want %q", description, test.description)
			}
			warnings := kinds.Warnings(&policy.Document{Default: []*policy.Requirement{requirement}})
			if len(warnings) == 0 || !strings.Contains(warnings[0].Text, "is an extension of countersign") {
				t.Errorf("warnings %v", warnings)
			}
		})
	}
}

func attested(t *testing.T, requirement string) *policy.Requirement {
	t.Helper()
	return parse(t, requirement)[0]
}

// TestAttestedRequirementsMatchRepositoriesByDefault, because attestations name them without a tag.
func TestAttestedRequirementsMatchRepositoriesByDefault(t *testing.T) {
	if bad := attested(t, `{"type":"attested",`+provenance+`,"keyData":"a2V5"}`); bad.Problem == "" {
		t.Error("a key that is not one has no problem")
	}
	requirement := attested(t, `{"type":"attested",`+provenance+`,"keyPath":"testdata/containers-image/cosign.pub"}`)
	if !strings.Contains(string(requirement.JSON), `"signedIdentity":{"type":"matchRepository"}`) {
		t.Errorf("%s", requirement.JSON)
	}
}

func TestAttestedRequirementsAreRefused(t *testing.T) {
	noFiles := func(string) ([]byte, error) { return nil, errors.New("no files here") }
	const start = "{\n\"default\": [{\"type\": \"reject\"}, {\n"
	for name, test := range map[string]struct {
		members      string
		line, column int
		want         string
	}{
		"no predicate type": {`"type":"attested","keyPath":"/k"`, 2, 33, `"predicateType" is missing`},
		"an empty predicate type": {
			`"type":"attested","keyPath":"/k","predicateType":""`, 3, 50, "predicateType: it is empty",
		},
		"a predicate type that is not a string": {
			`"type":"attested","keyPath":"/k","predicateType":7`, 3, 50, `"predicateType" is a number and must be a string`,
		},
		"a predicate type with a space": {
			`"type":"attested","keyPath":"/k","predicateType":"a b"`, 3, 50, "a URI does not have",
		},
		"all predicate types": {`"type":"attested","keyPath":"/k","predicateType":"*"`, 3, 50, "no predicate type for all"},
		"signatures": {
			`"type":"attested","keyPath":"/k","predicateType":"https://sigstore.dev/cosign/sign/v1"`, 3, 50,
			"use sigstoreSigned",
		},
		"two predicate types": {
			`"type":"attested","keyPath":"/k","predicateType":"a","predicateType":"a"`, 3, 70, `duplicate key "predicateType"`,
		},
		"two conditions": {
			`"type":"attested","keyPath":"/k","predicateType":"a","where":"true","where":"true"`, 3, 77, `duplicate key "where"`,
		},
		"an unknown variable": {
			`"type":"attested","keyPath":"/k",` + "\n" + `"predicateType":"a","where":"predicate.a == 1 && x"`, 4, 50,
			"where: undeclared reference to 'x'",
		},
		"an error after escapes": {
			`"type":"attested","keyPath":"/k","predicateType":"a","where":"predicate.a == \"\u00e9\ud83d\ude00\" && x"`, 3, 104,
			"where: undeclared reference to 'x'",
		},
		"an error on the second line of a condition": {
			`"type":"attested","keyPath":"/k","predicateType":"a","where":"predicate.a == 1 &&\n x"`, 3, 85,
			"where: undeclared reference to 'x'",
		},
		"a condition that is not a bool": {
			`"type":"attested","keyPath":"/k","predicateType":"a","where":"predicate.a"`, 3, 63, "must be bool",
		},
		"a condition that costs too much": {
			`"type":"attested","keyPath":"/k","predicateType":"a","where":"predicate.a.all(a, predicate.b.all(b, ` +
				`predicate.c.all(c, predicate.d.all(d, a == b && c == d))))"`, 3, 63, "too costly",
		},
		"a condition that is not a string": {
			`"type":"attested","keyPath":"/k","predicateType":"a","where":true`, 3, 62, `"where" is a bool`,
		},
		"an unknown field":  {`"type":"attested","keyPath":"/k","predicateType":"a","were":"true"`, 2, 10, `"were"`},
		"no signer":         {`"type":"attested","predicateType":"a"`, 2, 10, "keyPath"},
		"two types":         {`"type":"attested","type":"attested","keyPath":"/k","predicateType":"a"`, 2, 10, `"type"`},
		"a wrong extension": {`"type":"attested","predicateType":"a","fulcio":{"subjectURI":"x"}`, 3, 48, "fulcio"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(start+test.members+"}]}"), noFiles)
			at, ok := errors.AsType[*policy.PositionError](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if at.Line != test.line || at.Column != test.column {
				t.Errorf("at %d:%d, want %d:%d: %v", at.Line, at.Column, test.line, test.column, err)
			}
		})
	}
}
