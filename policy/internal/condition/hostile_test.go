package condition_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/internal/condition"
)

// hostile are statements with predicates of 1 MiB and expressions that are as slow as possible with them.
func hostile(t testing.TB) map[string]struct {
	expression string
	statement  map[string]any
} {
	t.Helper()
	numbers := `{"predicate":{"a":[` + strings.Repeat("1,", 500_000) + `1],"b":[` + strings.Repeat("1,", 1000) + `1]}}`
	many := strings.Repeat("[[]],", 100_000) + `[]]`
	// Loops over these few end at the limit only if each step costs as much as its operands are large.
	few := strings.Repeat("[1],", 1000) + `[1]]`
	lists := `{"predicate":{"few":[` + few + `,"a":[` + many + `,"b":[` + many + `}}`
	text := `{"predicate":{"n":[` + strings.Repeat("1,", 1000) + `1],"s":"` + strings.Repeat("a", 1<<20) + `"}}`
	digits := strings.ReplaceAll(text, "aa", "11")
	texts := `{"predicate":{"n":["` + strings.Repeat(strings.Repeat("a", 400)+`","`, 2500) + `"]}}`
	object := objectOf(t, 60_000)
	deep := `{"predicate":{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,"b":` +
		strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}}`
	type hostile = struct {
		expression string
		statement  map[string]any
	}
	made := func(expression, statement string) hostile { return hostile{expression, statementOf(t, statement)} }
	return map[string]hostile{
		"a loop over all":               made(`predicate.a.all(a, a > 0)`, numbers),
		"nested loops":                  made(`predicate.a.all(a, predicate.a.all(b, predicate.a.all(c, a == b)))`, numbers),
		"a filter":                      made(`predicate.a.filter(a, a > 0).size() > 1`, numbers),
		"a map of maps":                 made(`predicate.a.map(a, predicate.a.map(b, a + b)).size() > 1`, numbers),
		"equal lists":                   made(`predicate.a == predicate.b`, lists),
		"equal lists in a loop":         made(`predicate.few.all(x, predicate.a == predicate.b)`, lists),
		"contained lists":               made(`predicate.few.all(x, !(x in predicate.b))`, lists),
		"deep lists":                    made(`predicate.a == predicate.b`, deep),
		"the size of a text in a loop":  made(`predicate.n.all(x, size(predicate.s) > 0)`, text),
		"conversions of a text":         made(`predicate.n.all(x, bytes(predicate.s) == bytes(predicate.s))`, text),
		"a number from a text":          made(`predicate.n.all(x, double(predicate.s) > 0.0)`, text),
		"a number from many digits":     made(`predicate.n.all(x, double(predicate.s) > 0.0)`, digits),
		"a text in a text":              made(`predicate.n.all(x, !predicate.s.contains("aaaaaaaaaaaaaaaab"))`, text),
		"the end of a text":             made(`predicate.n.all(x, predicate.s.endsWith(predicate.s))`, text),
		"texts joined":                  made(`predicate.n.all(x, predicate.s + predicate.s != "")`, text),
		"a pattern of a large text":     made(`predicate.s.matches("(a*)*b")`, text),
		"a pattern of many texts":       made(`predicate.n.all(x, !x.matches("(a|a?)*(a|aa)*(a|a)+b"))`, texts),
		"a large pattern of many texts": made(`predicate.n.all(x, !x.matches("(a?){60}b$"))`, texts),
		"half of the names":             {`predicate.all(k, predicate[k] >= 0)`, objectOf(t, 30_000)},
		"all names":                     {`predicate.all(k, predicate[k] >= 0)`, object},
		"an object":                     {`predicate == predicate && statement == statement`, object},
	}
}

// objectOf returns a statement whose predicate has that many names and one more.
func objectOf(t testing.TB, names int) map[string]any {
	t.Helper()
	raw := &strings.Builder{}
	for i := range names {
		fmt.Fprintf(raw, `"name-%d":%d,`, i, i)
	}
	return statementOf(t, `{"predicate":{`+raw.String()+`"z":1}}`)
}

// TestNothingCostsMoreThanItsBound: each evaluation ends at the limit of the cost. BenchmarkHostile shows the time that
// this takes.
func TestNothingCostsMoreThanItsBound(t *testing.T) {
	for name, test := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			compiled, err := condition.Compile(test.expression)
			if err != nil {
				t.Fatal(err)
			}
			if holds, err := compiled.Holds(test.statement); holds || !errors.Is(err, condition.ErrTooCostly) {
				t.Errorf("holds: %t, error: %v", holds, err)
			}
		})
	}
}

// TestKeysOfAnObjectHaveACost: a loop over many keys ends at the limit although its steps alone are within it.
func TestKeysOfAnObjectHaveACost(t *testing.T) {
	compiled, err := condition.Compile(`predicate.all(name, name != "")`)
	if err != nil {
		t.Fatal(err)
	}
	for keys, want := range map[int]error{10_000: nil, 12_000: condition.ErrTooCostly} {
		holds, err := compiled.Holds(objectOf(t, keys))
		if holds != (want == nil) || !errors.Is(err, want) {
			t.Errorf("%d keys: holds: %t, error: %v, want %v", keys, holds, err, want)
		}
	}
}

// TestOrdinaryConditionsAreWithinTheBounds with an SBOM of ten thousand packages, twice as many as large images have.
func TestOrdinaryConditionsAreWithinTheBounds(t *testing.T) {
	packages := &strings.Builder{}
	for i := range 10_000 {
		fmt.Fprintf(packages, `{"name":"package-%d","versionInfo":"1.2.%d","licenseDeclared":"MIT"},`, i, i)
	}
	packages.WriteString(`{"name":"last","licenseDeclared":"MIT"}`)
	statement := statementOf(t, `{"predicate":{"packages":[`+packages.String()+`]}}`)
	compiled, err := condition.Compile(`!predicate.packages.exists(p, p.licenseDeclared == "AGPL-3.0")`)
	if err != nil {
		t.Fatal(err)
	}
	if holds, err := compiled.Holds(statement); !holds || err != nil {
		t.Errorf("holds: %t, error: %v", holds, err)
	}
}

func BenchmarkHostile(b *testing.B) {
	for name, test := range hostile(b) {
		compiled, err := condition.Compile(test.expression)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, _ = compiled.Holds(test.statement)
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := condition.Compile(`predicate.a.all(a, a.b == "x" && a.c.matches("^y"))`); err != nil {
			b.Fatal(err)
		}
	}
}
