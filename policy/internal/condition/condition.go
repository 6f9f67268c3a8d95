package condition

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/env"
	"github.com/google/cel-go/interpreter"
)

const (
	// maxExpression limits an expression, in bytes.
	maxExpression = 8 << 10
	// maxDepth limits how deeply an expression is nested.
	maxDepth = 64
	// maxCost limits the cost of one evaluation: see meter. BenchmarkHostile shows that it takes less than 5 ms.
	maxCost = 100_000
)

// Names of the variables.
const (
	statementVariable = "statement"
	predicateVariable = "predicate"
)

// Condition is a compiled expression. It is safe for concurrent use.
type Condition struct {
	environment *cel.Env
	parsed      *cel.Ast
	patterns    patterns
}

// Error is an error in an expression.
type Error struct {
	// Line and Column are counted from 1; columns are characters.
	Line, Column int
	Problem      string
}

// Error implements error.
func (e *Error) Error() string { return e.Problem }

func problem(format string, args ...any) error {
	return &Error{Line: 1, Column: 1, Problem: fmt.Sprintf(format, args...)}
}

// Compile compiles an expression. An error is an [*Error].
func Compile(expression string) (*Condition, error) {
	if len(expression) > maxExpression {
		return nil, problem("it has %d bytes, and the maximum is %d", len(expression), maxExpression)
	}
	if strings.TrimSpace(expression) == "" {
		return nil, problem("it is empty")
	}
	patterns := patterns{}
	environment, err := newEnvironment(patterns)
	if err != nil {
		return nil, problem("preparing it: %v", err)
	}
	parsed, issues := environment.Compile(expression)
	if issues != nil && issues.Err() != nil {
		return nil, firstOf(issues)
	}
	if kind := parsed.OutputType(); kind != cel.BoolType {
		return nil, problem("its result is of type %s and must be bool: compare it with a value", kind)
	}
	if err := patterns.read(parsed); err != nil {
		return nil, err
	}
	if err := checkEstimate(environment, parsed); err != nil {
		return nil, err
	}
	made := &Condition{environment: environment, parsed: parsed, patterns: patterns}
	if _, err := made.program(&meter{}); err != nil {
		return nil, problem("%v", err)
	}
	return made, nil
}

// program returns the expression as a program for one evaluation.
func (c *Condition) program(meter *meter) (cel.Program, error) {
	meter.patterns = c.patterns
	return c.environment.Program(c.parsed, cel.CustomDecoratorV2(meter.decorate))
}

// newEnvironment returns the language of conditions: CEL's standard one, with a function matches whose cost is bounded.
func newEnvironment(patterns patterns) (*cel.Env, error) {
	standard := cel.StdLib(cel.StdLibSubset(&env.LibrarySubset{
		ExcludeFunctions: []*env.Function{{Name: matchesFunction}},
	}))
	return cel.NewCustomEnv(standard,
		cel.ParserRecursionLimit(maxDepth), cel.ParserErrorRecoveryLimit(1),
		cel.CrossTypeNumericComparisons(true),
		cel.VariableDecls(
			decls.NewVariable(statementVariable, cel.MapType(cel.StringType, cel.DynType)),
			decls.NewVariable(predicateVariable, cel.DynType),
		),
		patterns.declare(),
	)
}

// firstOf returns the first error of the compiler.
func firstOf(issues *cel.Issues) error {
	all := issues.Errors()
	if len(all) == 0 {
		return problem("%v", issues.Err())
	}
	first := all[0]
	text := strings.TrimPrefix(first.Message, "Syntax error: ")
	if strings.HasPrefix(text, "undeclared reference to") {
		text = strings.ReplaceAll(text, " (in container '')", "")
		text += "; the variables are predicate and statement"
	}
	return &Error{Line: max(first.Location.Line(), 1), Column: max(first.Location.Column()+1, 1), Problem: text}
}

// ErrTooCostly reports that a statement makes the evaluation of an expression cost too much.
var ErrTooCostly = fmt.Errorf("evaluating it costs more than %d units", maxCost)

// Holds evaluates the expression over an in-toto statement, as encoding/json decodes it into an any. An error is why it
// has no value: a field is missing, or of another type.
func (c *Condition) Holds(statement map[string]any) (bool, error) {
	program, err := c.program(&meter{left: maxCost})
	if err != nil {
		return false, fmt.Errorf("preparing the condition: %w", err)
	}
	result, _, err := program.Eval(map[string]any{
		statementVariable: statement, predicateVariable: statement[predicateVariable],
	})
	if _, ok := errors.AsType[interpreter.EvalCancelledError](err); ok {
		return false, ErrTooCostly
	}
	if err != nil {
		return false, fmt.Errorf("it has no value: %w", err)
	}
	holds, ok := result.Value().(bool)
	if !ok {
		return false, fmt.Errorf("it has a value of type %v, not a bool", result.Type())
	}
	return holds, nil
}
