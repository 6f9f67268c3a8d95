package condition_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/countersign/countersign/policy/internal/condition"
)

// FuzzCondition: any expression has an error with a position, or is evaluated over any statement to the same result
// each time, without a panic.
func FuzzCondition(f *testing.F) {
	statement := []byte(`{"predicate":{"a":[1,"x",[1],{"b":null}],"n":1.5,"s":"text","o":{"k":true}},"_type":"x"}`)
	for _, expression := range []string{
		`predicate.a.exists(a, a == 1 || a == "x")`, `predicate.a.all(a, type(a) == int)`,
		`predicate.s.matches("^t(e|x)*t$")`,
		`predicate.a.map(a, a).filter(a, a in predicate.a).size() > 1`, `has(predicate.o.k) && predicate.o == {"k": true}`,
		`predicate.a == statement.predicate.a`, `bytes(predicate.s) == b"text" && string(predicate.n).contains("1")`,
		`predicate.o.exists_one(k, predicate.o[k])`, `predicate.n / 0 > 1 ? true : predicate.s + "x" != ""`, `!`, `"(`,
		`timestamp(predicate.s) < timestamp("2026-01-01T00:00:00Z")`, `[1, 2].exists(x, [x].exists(y, y == predicate.n))`,
	} {
		f.Add(expression, statement)
	}
	f.Fuzz(func(t *testing.T, expression string, raw []byte) {
		compiled, err := condition.Compile(expression)
		if found, ok := errors.AsType[*condition.Error](err); err != nil && (!ok || found.Line < 1 || found.Column < 1) {
			t.Fatalf("%q: %#v", expression, err)
		}
		var statement map[string]any
		if err != nil || json.Unmarshal(raw, &statement) != nil {
			t.Skip()
		}
		holds, err := compiled.Holds(statement)
		again, second := compiled.Holds(statement)
		if holds != again || (err == nil) != (second == nil) || holds && err != nil {
			t.Errorf("%q over %s: %t, %v, and then %t, %v", expression, raw, holds, err, again, second)
		}
	})
}
