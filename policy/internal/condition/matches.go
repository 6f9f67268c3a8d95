package condition

import (
	"regexp"
	"regexp/syntax"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// matchesFunction is the name of the function for regular expressions.
const matchesFunction = "matches"

const (
	// maxPattern limits a regular expression, in bytes, and maxInstructions its program.
	maxPattern      = 1 << 10
	maxInstructions = 500
	// maxSteps limits the length of a text times the size of the program, which is what a match takes in the worst case.
	maxSteps = 200_000
	// stepsPerUnit is how many steps of a match take as long as one unit of cost.
	stepsPerUnit = 4
)

// patterns are the regular expressions of a condition, by their text, with the sizes of their programs. They are
// literals in the expression: a predicate contains none.
type patterns map[string]pattern

type pattern struct {
	*regexp.Regexp

	instructions int
}

// declare returns the declaration of the function.
func (p patterns) declare() cel.EnvOption {
	return cel.Function(matchesFunction, cel.MemberOverload("matches_string",
		[]*cel.Type{cel.StringType, cel.StringType}, cel.BoolType, cel.BinaryBinding(p.match)))
}

// match is the function. Its second argument was compiled with the condition.
func (p patterns) match(text, expression ref.Val) ref.Val {
	of, isText := text.(types.String)
	by, isPattern := expression.(types.String)
	compiled, ok := p[string(by)]
	if !isText || !isPattern || !ok {
		return types.NewErr("matches needs a text and a literal pattern")
	}
	if len(of)*compiled.instructions > maxSteps {
		return types.NewErr("a text of %d bytes is too long for %q", len(of), string(by))
	}
	return types.Bool(compiled.MatchString(string(of)))
}

// cost returns the cost of a match.
func (p patterns) cost(text, expression ref.Val) uint64 {
	of, isText := text.(types.String)
	by, isPattern := expression.(types.String)
	if !isText || !isPattern {
		return 1
	}
	return uint64(1 + min(len(of)*p[string(by)].instructions, maxSteps)/stepsPerUnit)
}

// read compiles the regular expressions in an expression.
func (p patterns) read(parsed *cel.Ast) error {
	var problem error
	native := parsed.NativeRep()
	ast.PreOrderVisit(native.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if problem != nil || e.Kind() != ast.CallKind || e.AsCall().FunctionName() != matchesFunction {
			return
		}
		if err := p.add(e.AsCall()); err != nil {
			at := native.SourceInfo().GetStartLocation(e.ID())
			problem = &Error{Line: max(at.Line(), 1), Column: max(at.Column()+1, 1), Problem: err.Error()}
		}
	}))
	return problem
}

func (p patterns) add(call ast.CallExpr) error {
	args := call.Args()
	if len(args) != 1 || args[0].Kind() != ast.LiteralKind {
		return errNotLiteral
	}
	text, ok := args[0].AsLiteral().Value().(string)
	if !ok {
		return errNotLiteral
	}
	if len(text) > maxPattern {
		return problem("the pattern of matches has %d bytes, and the maximum is %d", len(text), maxPattern)
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return problem("the pattern of matches: %v", err)
	}
	read, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return problem("the pattern of matches: %v", err)
	}
	program, err := syntax.Compile(read.Simplify())
	if err != nil {
		return problem("the pattern of matches: %v", err)
	}
	if len(program.Inst) > maxInstructions {
		return problem("the pattern of matches is too large: its program has %d instructions, and the maximum is %d",
			len(program.Inst), maxInstructions)
	}
	p[text] = pattern{compiled, len(program.Inst)}
	return nil
}

var errNotLiteral = problem("the argument of matches must be a literal text")
