package signature_test

import (
	"slices"
	"strings"
	"testing"

	containers "go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy/signature"
)

const acceptAny = `{"type":"insecureAcceptAnything"}`

func TestARequirementOfAnyKindMayBeAudited(t *testing.T) {
	for name, requirement := range map[string]string{
		"the field is last":           `{"type":"reject","enforcement":"audit"}`,
		"the field is first":          `{"enforcement":"audit","type":"reject"}`,
		"the field is in the middle":  `{"type":"sigstoreSigned" , "enforcement" : "audit" , "keyData":"AAAA"}`,
		"there is white space":        "{\n\t\"type\": \"reject\"\n\t,\n\t\"enforcement\"\n:\t\"audit\"\n}",
		"it has another extension":    strings.Replace(extendedBy(workflowURI), "{", `{"enforcement":"audit",`, 1),
		"its kind is not of policies": `{"type":"signedBy","keyType":"GPGKeys","keyData":"AAAA","enforcement":"audit"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := containers.NewPolicyFromBytes([]byte(list(acceptAny + "," + requirement))); err == nil {
				t.Error("containers/image loads it: it may be enforced there")
			}
			parsed := parse(t, acceptAny+","+requirement)
			if parsed[0].Audit || !parsed[1].Audit || !slices.Contains(parsed[1].Extensions, "enforcement") {
				t.Errorf("%+v, %+v", parsed[0], parsed[1])
			}
			if strings.Contains(string(parsed[1].JSON), "enforcement") {
				t.Errorf("a judge gets %s", parsed[1].JSON)
			}
		})
	}
}

func TestAnAuditedRequirementIsAnotherThanTheEnforcedOne(t *testing.T) {
	parsed := parse(t, `{"type":"reject"},`+
		`{"type":"reject","enforcement":"audit"},{"type":"reject","enforcement":"enforce"}`)
	if parsed[0].ID == parsed[1].ID || parsed[0].ID != parsed[2].ID || parsed[2].Audit {
		t.Errorf("%+v, %+v, %+v", parsed[0], parsed[1], parsed[2])
	}
}

func TestAnEnforcementThatIsNoneDoesNotLoad(t *testing.T) {
	for name, test := range map[string]struct{ list, want string }{
		"another value":  {`{"type":"reject","enforcement":"warn"}`, `is "warn" and must be "enforce" or "audit"`},
		"another case":   {`{"type":"reject","enforcement":"Audit"}`, `"enforcement" is "Audit" and must be`},
		"a boolean":      {`{"type":"reject","enforcement":true}`, `"enforcement" is true and must be`},
		"null":           {`{"type":"reject","enforcement":null}`, `"enforcement" is null and must be`},
		"another name":   {`{"type":"reject","Enforcement":"audit"}`, `Enforcement`},
		"an escape":      {`{"type":"reject","enforcemen\u0074":"audit"}`, `enforcement`},
		"twice":          {`{"type":"reject","enforcement":"audit","enforcement":"enforce"}`, `duplicate key "enforcement"`},
		"in the second":  {acceptAny + `,{"type":"reject","enforcement":1}`, `requirement 2: `},
		"none enforced":  {`{"type":"reject","enforcement":"audit"}`, `at least one must be enforced`},
		"inside of keys": {extendedBy(workflowURI + `,"enforcement":"audit"`), `enforcement`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(list(test.list)), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

// TestAScopeThatOnlyAudits: what is enforced is what the document enforces without the scope.
func TestAScopeThatOnlyAudits(t *testing.T) {
	const (
		audited = `{"type":"reject","enforcement":"audit"}`
		rejects = `{"type":"reject"}`
	)
	for name, test := range map[string]struct {
		scopes string
		// want are the kinds of the requirements for example.com/a:v1, those that are only audited with "?".
		want string
	}{
		"the default is enforced":         {`"example.com/a":[` + audited + `]`, "reject? insecureAcceptAnything"},
		"the transport's is":              {`"example.com":[` + audited + `],"":[` + rejects + `]`, "reject? reject"},
		"the transport's is only audited": {`"":[` + audited + `]`, "reject? insecureAcceptAnything"},
		"a broader scope is enforced": {
			`"example.com/a:v1":[` + audited + `],"example.com":[` + rejects + `]`, "reject? reject",
		},
		"a broader scope audits too": {
			`"example.com/a:v1":[` + audited + `],"example.com":[` + audited + `,` + rejects + `]`, "reject? reject",
		},
		"two scopes only audit": {
			`"example.com/a:v1":[` + audited + `],"example.com/a":[` + audited + `],"*.com":[` + rejects + `]`,
			"reject? reject",
		},
		"a more specific scope is enforced": {
			`"example.com/a:v1":[` + rejects + `],"example.com":[` + audited + `]`, "reject",
		},
	} {
		t.Run(name, func(t *testing.T) {
			raw := `{"default":[` + acceptAny + `],"transports":{"docker":{` + test.scopes + `}}}`
			parser := signature.NewParser(signature.Kinds(nil))
			first, err := parser.Parse([]byte(raw), nil)
			if err != nil {
				t.Fatal(err)
			}
			second, err := parser.Parse([]byte(raw+" "), nil)
			if err != nil {
				t.Fatal(err)
			}
			_, list := first.Select(named(t, "example.com/a:v1"))
			var kinds []string
			for _, requirement := range list {
				kind := string(requirement.Kind)
				if requirement.Audit {
					kind += "?"
				}
				kinds = append(kinds, kind)
			}
			if got := strings.Join(kinds, " "); got != test.want {
				t.Errorf("the requirements are %s, want %s", got, test.want)
			}
			if _, same := second.Select(named(t, "example.com/a:v1")); &same[0] != &list[0] {
				t.Error("two documents do not share their list")
			}
		})
	}
}
