package condition_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/internal/condition"
)

func TestHolds(t *testing.T) {
	const provenance = `{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://slsa.dev/provenance/v1",
		"subject":[{"name":"registry.example/app","digest":{"sha256":"00"}}],
		"predicate":{"runDetails":{"builder":{"id":"https://github.com/actions/runner/github-hosted"}},"count":3,"odd":3.5,
		"materials":[{"uri":"git+https://github.com/org/app"},{"uri":"pkg:docker/base"}],"statements":[
		{"vulnerability":{"name":"CVE-1"},"status":"not_affected"},{"vulnerability":{"name":"CVE-2"},"status":"fixed"}]}}`
	for name, test := range map[string]struct {
		expression string
		want       bool
		problem    string
	}{
		"equal": {
			expression: `predicate.runDetails.builder.id == "https://github.com/actions/runner/github-hosted"`, want: true,
		},
		"not equal": {expression: `predicate.runDetails.builder.id == "https://example.com"`},
		"a number of JSON is a double": {
			expression: `predicate.count == 3 && predicate.count < 4 && predicate.odd > 3`, want: true,
		},
		"no statement is affected": {expression: `!predicate.statements.exists(s, s.status == "affected")`, want: true},
		"nested": {
			expression: `predicate.statements.all(s, predicate.materials.exists(m, m.uri != s.status))`, want: true,
		},
		"a pattern": {
			expression: `predicate.materials[0].uri.matches("^git\\+https://github\\.com/org/")`, want: true,
		},
		"a pattern that does not match": {
			expression: `predicate.materials[1].uri.matches("^git")`,
		},
		"the statement": {expression: `statement.subject[0].name.startsWith("registry.example/")`, want: true},
		"the types": {
			expression: `statement.predicateType == "https://slsa.dev/provenance/v1" && type(predicate) == map`, want: true,
		},
		"has":             {expression: `has(predicate.runDetails) && !has(predicate.other)`, want: true},
		"a missing field": {expression: `predicate.other == "x"`, problem: "no such key: other"},
		"another type":    {expression: `predicate.count.startsWith("x")`, problem: "no such overload"},
		"size":            {expression: `size(predicate.materials) == 2 && predicate.materials.size() == 2`, want: true},
		"in":              {expression: `"CVE-1" in predicate.statements.map(s, s.vulnerability.name)`, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			compiled, err := condition.Compile(test.expression)
			if err != nil {
				t.Fatal(err)
			}
			holds, err := compiled.Holds(statementOf(t, provenance))
			if (err != nil) != (test.problem != "") || err != nil && !strings.Contains(err.Error(), test.problem) {
				t.Fatalf("error %v, want one about %q", err, test.problem)
			}
			if holds != test.want {
				t.Errorf("holds: %t, want %t", holds, test.want)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		expression   string
		line, column int
		want         string
	}{
		"nothing":        {"  ", 1, 1, "it is empty"},
		"a syntax error": {"predicate.a ==\n  == 1", 2, 3, "extraneous input"},
		"an unknown variable": {
			"predicate.a == 1 && sbom.b == 2", 1, 21, "undeclared reference to 'sbom'; the variables are",
		},
		"an unknown function":      {`now() > 1`, 1, 4, "undeclared reference to 'now'"},
		"a text":                   {`"yes"`, 1, 1, "of type string and must be bool"},
		"a value of unknown type":  {`predicate.ok`, 1, 1, "of type dyn and must be bool: compare it with a value"},
		"a pattern of a predicate": {`"x".matches(predicate.p)`, 1, 12, "must be a literal text"},
		"a bad pattern":            {`predicate.p.matches("(")`, 1, 20, "missing closing )"},
		"a large pattern":          {`predicate.p.matches("(a{30}){30}")`, 1, 20, "too large"},
		"a pattern of many bytes": {
			`predicate.p.matches("` + strings.Repeat("a", 1025) + `")`, 1, 20, "the maximum is 1024",
		},
		"an expression of many bytes": {
			`"` + strings.Repeat("a", 8<<10) + `" == predicate.a`, 1, 1, "the maximum is 8192",
		},
		"four nested loops": {
			`predicate.a.all(a, predicate.b.all(b, predicate.c.all(c, predicate.d.all(d, a == b && c == d))))`,
			1, 1, "too costly",
		},
		"deep nesting": {strings.Repeat("(", 70) + "true" + strings.Repeat(")", 70), 1, 1, "recursion"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := condition.Compile(test.expression)
			found, ok := errors.AsType[*condition.Error](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(found.Problem, test.want) {
				t.Errorf("problem %q, want %q", found.Problem, test.want)
			}
			if found.Line != test.line || found.Column != test.column {
				t.Errorf("at %d:%d, want %d:%d: %s", found.Line, found.Column, test.line, test.column, found.Problem)
			}
		})
	}
}

func statementOf(t testing.TB, raw string) map[string]any {
	t.Helper()
	var statement map[string]any
	if err := json.Unmarshal([]byte(raw), &statement); err != nil {
		t.Fatal(err)
	}
	return statement
}
