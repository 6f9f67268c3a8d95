package openshift_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// source is the code of a package that is not compiled as a whole.
type source struct {
	files *token.FileSet
	// declared are the declarations of the package by name, and the file of each.
	declared map[string]declaration
}

type declaration struct {
	node ast.Node
	file *ast.File
}

// readSource reads the declarations of files.
func readSource(t *testing.T, paths ...string) *source {
	t.Helper()
	s := &source{files: token.NewFileSet(), declared: map[string]declaration{}}
	for _, name := range paths {
		file, err := parser.ParseFile(s.files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("reading %s: %v", filepath.Base(name), err)
		}
		for _, node := range file.Decls {
			switch node := node.(type) {
			case *ast.FuncDecl:
				if node.Recv == nil {
					s.declared[node.Name.Name] = declaration{node, file}
				}
			case *ast.GenDecl:
				s.addSpecs(node, file)
			}
		}
	}
	return s
}

// addSpecs adds constants and variables.
func (s *source) addSpecs(group *ast.GenDecl, file *ast.File) {
	for _, spec := range group.Specs {
		if values, ok := spec.(*ast.ValueSpec); ok {
			for _, name := range values.Names {
				s.declared[name.Name] = declaration{&ast.GenDecl{Tok: group.Tok, Specs: []ast.Spec{values}}, file}
			}
		}
	}
}

// extract returns a file of package main with these declarations and all those of the same package that they need.
func (s *source) extract(t *testing.T, names ...string) []byte {
	t.Helper()
	var body bytes.Buffer
	imports, done := map[string]string{}, map[string]bool{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		found, ok := s.declared[name]
		if !ok || done[name] {
			continue
		}
		done[name] = true
		if err := format.Node(&body, s.files, found.node); err != nil {
			t.Fatalf("writing %s: %v", name, err)
		}
		body.WriteString("\n\n")
		known := importsOf(found.file)
		for _, used := range usedBy(found.node) {
			if imported, ok := known[used]; ok {
				imports[used] = imported
			}
			names = append(names, used)
		}
	}
	var file bytes.Buffer
	file.WriteString("//go:build operator\n\npackage main\n\nimport (\n")
	for name, imported := range imports {
		fmt.Fprintf(&file, "\t%s %q\n", name, imported)
	}
	file.WriteString(")\n\n")
	file.Write(body.Bytes())
	return file.Bytes()
}

// usedBy returns the identifiers in a declaration, without those after a dot.
func usedBy(declared ast.Node) (names []string) {
	ast.Inspect(declared, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.SelectorExpr:
			names = append(names, usedBy(node.X)...)
			return false
		case *ast.Ident:
			names = append(names, node.Name)
		}
		return true
	})
	return names
}

// importsOf returns the path of each import by its name.
func importsOf(file *ast.File) map[string]string {
	all := map[string]string{}
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		name := path.Base(imported)
		if len(name) == 2 && name[0] == 'v' { // The version of a module.
			name = path.Base(path.Dir(imported))
		}
		if spec.Name != nil {
			name = spec.Name.Name
		}
		all[name] = imported
	}
	return all
}
