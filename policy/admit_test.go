package policy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The code admits in exactly one place. This test finds every other way to create an outcome that admits: the constant
// used for anything but a comparison, an outcome converted from a number, an outcome set by its field or in a literal,
// and a literal of a verdict without field names.
func TestTheCodeAdmitsInExactlyOnePlace(t *testing.T) {
	var admitting []string
	for fset, file := range parsePackage(t) {
		innocent := comparedOrDeclared(file)
		ast.Inspect(file, func(node ast.Node) bool {
			if node == nil {
				return false
			}
			at := fset.Position(node.Pos()).String()
			if identifier, ok := node.(*ast.Ident); ok && identifier.Name == "Admit" && !innocent[node] {
				admitting = append(admitting, at)
			}
			checkOutcome(t, at, node)
			return true
		})
	}
	if len(admitting) != 1 || !strings.HasPrefix(admitting[0], "evaluate.go:") {
		t.Errorf("Admit is used in %q, want one place, in evaluate.go", admitting)
	}
}

// comparedOrDeclared returns the identifiers of a file that are right of == or in a declaration.
func comparedOrDeclared(file *ast.File) map[ast.Node]bool {
	found := make(map[ast.Node]bool)
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BinaryExpr:
			if node.Op == token.EQL {
				found[node.Y] = true
			}
		case *ast.ValueSpec:
			for _, name := range node.Names {
				found[name] = true
			}
		}
		return true
	})
	return found
}

// checkOutcome fails for every way to create an outcome other than the names of the constants.
func checkOutcome(t *testing.T, at string, node ast.Node) {
	t.Helper()
	switch node := node.(type) {
	case *ast.CallExpr:
		if named(node.Fun, "Outcome") {
			t.Errorf("%s: an outcome is converted from something else", at)
		}
	case *ast.AssignStmt:
		checkAssignment(t, at, node)
	case *ast.CompositeLit:
		checkLiteral(t, at, node)
	case *ast.IncDecStmt:
		if setsOutcome(node.X) {
			t.Errorf("%s: an outcome is counted up or down", at)
		}
	case *ast.UnaryExpr:
		if node.Op == token.AND && setsOutcome(node.X) {
			t.Errorf("%s: the address of an outcome is taken", at)
		}
	}
}

func parsePackage(t *testing.T) map[*token.FileSet]*ast.File {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("found no source: %v", err)
	}
	files := make(map[*token.FileSet]*ast.File)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[fset] = file
	}
	return files
}

// checkAssignment allows setting an outcome to Admit only, which the caller counts.
func checkAssignment(t *testing.T, at string, node *ast.AssignStmt) {
	t.Helper()
	for i, left := range node.Lhs {
		if setsOutcome(left) && (len(node.Rhs) != len(node.Lhs) || !named(node.Rhs[i], "Admit")) {
			t.Errorf("%s: an outcome is set to something that is not Admit", at)
		}
	}
}

func checkLiteral(t *testing.T, at string, node *ast.CompositeLit) {
	t.Helper()
	for _, element := range node.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if ok && named(pair.Key, "Outcome") {
			t.Errorf("%s: a literal sets the outcome", at)
		}
		if !ok && named(node.Type, "Verdict") {
			t.Errorf("%s: a literal of a verdict names no fields", at)
		}
	}
}

func setsOutcome(expression ast.Expr) bool {
	selector, ok := expression.(*ast.SelectorExpr)
	return ok && selector.Sel.Name == "Outcome"
}

func named(expression ast.Expr, name string) bool {
	identifier, ok := expression.(*ast.Ident)
	return ok && identifier.Name == name
}
