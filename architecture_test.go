// Package countersign_test enforces rules of this repository that the compiler does not: the direction of imports, the
// names of packages, the length of files. The linter enforces some of them too; these tests need only Go.
package countersign_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/countersign/countersign"

// source is a Go file of the main module.
type source struct {
	path    string
	test    bool
	lines   int
	syntax  *ast.File
	imports []string
}

// folder returns the source's directory, "." for the root.
func (s source) folder() string { return path.Dir(s.path) }

func sources(t *testing.T) []source {
	t.Helper()
	var found []source
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", ".cache", "bin", "testdata"}, entry.Name()) {
			return filepath.SkipDir
		}
		if !entry.IsDir() && filepath.Ext(name) == ".go" {
			found = append(found, read(t, name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("only %d Go files: is this the root of the repository?", len(found))
	}
	return found
}

func read(t *testing.T, name string) source {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), name, raw, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	s := source{
		path: filepath.ToSlash(name), test: strings.HasSuffix(name, "_test.go"),
		lines: bytes.Count(raw, []byte("\n")), syntax: syntax,
	}
	for _, spec := range syntax.Imports {
		s.imports = append(s.imports, strings.Trim(spec.Path.Value, `"`))
	}
	return s
}

// within reports whether a path is in a folder.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

func withinAny(name string, folders []string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool { return within(name, folder) })
}

func TestTheDecisionIsMadeOfValues(t *testing.T) {
	listed, err := exec.CommandContext(t.Context(), "go", "list", "-deps",
		"-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./policy").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		module + "/policy",
		"github.com/distribution/reference",
		"github.com/opencontainers/go-digest",
	}
	for dependency := range strings.Lines(string(listed)) {
		dependency = strings.TrimSpace(dependency)
		if dependency != "" && !withinAny(dependency, want) {
			t.Errorf("./policy depends on %s", dependency)
		}
	}
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			if s.folder() == "policy" && !s.test && withinAny(imported, []string{"os", "net", "log", "syscall"}) {
				t.Errorf("%s imports %s: package policy does no input or output and does not log", s.path, imported)
			}
		}
	}
}

// TestTheImageVerifierIsSmall, because containerd starts it for each pull.
func TestTheImageVerifierIsSmall(t *testing.T) {
	listed, err := exec.CommandContext(t.Context(), "go", "list", "-deps",
		"-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./plugin/verifier/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		module + "/plugin/verifier", module + "/plugin/internal/socket", module + "/conf", "github.com/pelletier/go-toml/v2",
		module + "/policy", "github.com/distribution/reference", "github.com/opencontainers/go-digest",
	}
	for dependency := range strings.Lines(string(listed)) {
		dependency = strings.TrimSpace(dependency)
		if dependency != "" && !withinAny(dependency, want) {
			t.Errorf("./plugin/verifier depends on %s", dependency)
		}
	}
}

func TestEachLibraryHasOneImporter(t *testing.T) {
	rules := map[string][]string{
		"github.com/fsnotify/fsnotify":    {"policy/files"},
		"go.podman.io/image/v5/signature": {"policy/signature"},
		"github.com/google/cel-go":        {"policy/internal/condition"},
		"github.com/sigstore/sigstore-go": {"policy/bundle", "policy/internal/trustedroot"},
		"github.com/containerd/nri":       {"nri", "integration"},
		"k8s.io": {
			"plugin/agent", "plugin/cri", "plugin/internal/cri", "integration", "scripts/chart",
		},
		"k8s.io/client-go":               {"plugin/agent/program", "plugin/agent/watch", "plugin/agent/report"},
		"sigs.k8s.io/controller-runtime": {"plugin/agent/program", "plugin/agent/watch", "plugin/agent/report"},
		module + "/integration":          {"integration"},
		"go.opentelemetry.io":            {"plugin/internal/tracing", "plugin/tracingtest"},
		// A real API server answers package node, and a collector receives the traces of a node.
		module + "/plugin": {"plugin", "integration/kubernetes", "integration/monitoring"},
	}
	for _, s := range sources(t) {
		for _, imported := range s.imports {
			for forbidden, folders := range rules {
				if within(imported, forbidden) && !withinAny(s.folder(), folders) {
					t.Errorf("%s imports %s, which is for %v only", s.path, imported, folders)
				}
			}
		}
	}
}

// TestSiblingsMeetInPackagePolicy and in leaf packages, which do not import policy.
func TestSiblingsMeetInPackagePolicy(t *testing.T) {
	for _, s := range sources(t) {
		parts := strings.Split(s.folder(), "/")
		if parts[0] != "nri" && (parts[0] != "policy" || len(parts) < 2) {
			continue
		}
		own := strings.Join(parts[:min(2, len(parts))], "/")
		allowed := []string{own, "policy/internal", "policy/text"}
		if own == "policy/evidence" {
			allowed = append(allowed, "policy/registry")
		}
		if s.test && own == "policy/bundle" {
			// An identity has the same meaning for bundles and for signatures, and the tests compare the two.
			allowed = append(allowed, "policy/signature")
		}
		isLeaf := own == "policy/registry" || own == "policy/internal" || own == "policy/text"
		for _, imported := range s.imports {
			name, ours := strings.CutPrefix(imported, module+"/")
			if ours && (name != "policy" || isLeaf) && !withinAny(name, allowed) {
				t.Errorf("%s imports %s: it may import %q, and unless it is a leaf policy", s.path, imported, allowed)
			}
		}
	}
}

// TestPackagesBelowEvidenceDoNotImportEachOther: only package evidence imports all of them.
func TestPackagesBelowEvidenceDoNotImportEachOther(t *testing.T) {
	rules := map[string][]string{
		"policy/evidence/format":  {"policy/internal/strictjson"},
		"policy/evidence/archive": {"policy/evidence/format"},
		"policy/evidence/store":   {"policy/evidence/format", "policy/evidence/store", "policy/internal", "policy/text"},
		"policy/evidence/fetch":   {"policy/evidence/format", "policy/registry", "policy/internal", "policy/text"},
	}
	knowsPolicy := map[string]bool{"policy/evidence/fetch": true, "policy/evidence/store": true}
	for _, s := range sources(t) {
		for folder, allowed := range rules {
			if !within(s.folder(), folder) {
				continue
			}
			for _, imported := range s.imports {
				name, ours := strings.CutPrefix(imported, module+"/")
				if ours && name != folder && !withinAny(name, allowed) && (name != "policy" || !knowsPolicy[folder]) {
					t.Errorf("%s imports %s: it may import %q of ours", s.path, imported, allowed)
				}
			}
		}
	}
}

func TestEveryPackageHasOneComment(t *testing.T) {
	comments := map[string][]string{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		with := comments[s.folder()]
		if s.syntax.Doc != nil {
			with = append(with, path.Base(s.path))
		}
		comments[s.folder()] = with
	}
	for folder, files := range comments {
		if len(files) != 1 || (files[0] != "doc.go" && files[0] != "main.go") {
			t.Errorf("package %s has its comment in %v, want doc.go (or a program's main.go)", folder, files)
		}
	}
}

func TestFilesHoldOneIdea(t *testing.T) {
	names := []string{"util", "utils", "common", "helper", "helpers", "types", "manager", "misc", "interfaces"}
	for _, s := range sources(t) {
		if !s.test && s.lines > 250 && !ast.IsGenerated(s.syntax) {
			t.Errorf("%s has %d lines, more than 250", s.path, s.lines)
		}
		if slices.Contains(names, strings.TrimSuffix(s.syntax.Name.Name, "_test")) {
			t.Errorf("%s: a package called %s has no single subject", s.path, s.syntax.Name.Name)
		}
	}
}

// TestParameterListsAreShort leaves out test support, and parameters that a library determines.
func TestParameterListsAreShort(t *testing.T) {
	const most = 4
	given := map[string]bool{"nri/conn.go:register": true} // ttrpc.UnaryClientInterceptor
	for _, s := range sources(t) {
		if s.test || strings.HasSuffix(s.folder(), "test") || within(s.folder(), "integration") {
			continue
		}
		for _, declaration := range s.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || given[s.path+":"+function.Name.Name] {
				continue
			}
			if count := function.Type.Params.NumFields(); count > most {
				t.Errorf("%s: %s has %d parameters, more than %d", s.path, function.Name.Name, count, most)
			}
		}
	}
}

// TestNoTestSleeps skips files that import testing/synctest, in which sleeping advances the fake clock.
func TestNoTestSleeps(t *testing.T) {
	for _, s := range sources(t) {
		if slices.Contains(s.imports, "testing/synctest") {
			continue
		}
		ast.Inspect(s.syntax, func(node ast.Node) bool {
			selector, ok := node.(*ast.SelectorExpr)
			if !ok || selector.Sel.Name != "Sleep" {
				return true
			}
			if of, ok := selector.X.(*ast.Ident); ok && of.Name == "time" {
				t.Errorf("%s sleeps: wait for a condition, or use testing/synctest", s.path)
			}
			return true
		})
	}
}

func TestModuleReplacesNothing(t *testing.T) {
	raw, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`(?m)^\s*replace\b`).Match(raw) {
		t.Error("go.mod has a replace: what others build from our module would not be what we test")
	}
}

func TestDecisionsAreShort(t *testing.T) {
	entries, err := os.ReadDir("docs/decisions")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Context", "Decision", "Consequence", "How we would notice it was wrong"}
	numbers := map[string]string{}
	for _, entry := range entries {
		name := entry.Name()
		if !regexp.MustCompile(`^\d{4}-[a-z]+(-[a-z0-9]+)+\.md$`).MatchString(name) {
			t.Errorf("docs/decisions/%s is not called NNNN-verb-noun.md", name)
			continue
		}
		if other, taken := numbers[name[:4]]; taken {
			t.Errorf("%s and %s have the same number", name, other)
		}
		numbers[name[:4]] = name
		raw, err := os.ReadFile(filepath.Join("docs/decisions", name))
		if err != nil {
			t.Fatal(err)
		}
		var headings []string
		for _, match := range regexp.MustCompile(`(?m)^## (.*)$`).FindAllSubmatch(raw, -1) {
			headings = append(headings, string(match[1]))
		}
		if lines := bytes.Count(raw, []byte("\n")); lines > 40 || !slices.Equal(headings, want) {
			t.Errorf("%s has %d lines and the headings %q; want at most 40 and %q", name, lines, headings, want)
		}
	}
}
