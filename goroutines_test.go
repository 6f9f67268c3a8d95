package countersign_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"testing"
)

// unguarded are the functions whose goroutines run without a [policy.Guard], each with the reason why untrusted input
// cannot cause a panic there, or why it may end the process.
func unguarded() map[string]string {
	return map[string]string{
		"nri/register.go:serve":                        "what NRI's stub calls is guarded in the session's methods",
		"nri/plugin.go:Synchronize":                    "each container is judged under a guard",
		"nri/start.go:StartContainer":                  "each container is evaluated under a guard",
		"nri/reevaluate.go:reevaluateLater":            "each container is judged under a guard",
		"policy/deadline.go:Answer":                    "guarded recovers, and makes a verdict of it",
		"policy/files/check.go:checkFiles":             "the parser runs under a guard; the rest reads and hashes files",
		"policy/evidence/satisfied.go:Satisfied":       "each satisfaction is recorded under a guard",
		"policy/evidence/keeper.go:open":               "watch handles times and paths of ours, and the sweep is guarded",
		"policy/evidence/queue_run.go:start":           "run has its fetch and its storing guarded",
		"plugin/agent/write/stage.go:Stage":            "it writes files, and parses nothing",
		"plugin/agent/report/simulate/main.go:run":     "a program of the tests, and its input is theirs",
		"plugin/countersign/evidence_local.go:list":    "a command's own process, and the parts of origin are guarded",
		"plugin/countersign/node_view.go:openNode":     "as above",
		"plugin/countersign/node.go:serveWhile":        "net/http recovers in its handlers, and the kubelet restarts the pod",
		"plugin/node/host.go:Do":                       "it enters namespaces, and the kubelet restarts the pod",
		"plugin/doctor/node.go:Read":                   "a command's own process",
		"plugin/daemon/image_service.go:serveKubelet":  "the proxy guards each call",
		"plugin/daemon/recorder.go:start":              "writes records, and parses nothing",
		"plugin/daemon/daemon.go:serve":                "each part guards what it does for one image, document or record",
		"plugin/daemon/daemon.go:serveMetrics":         "net/http recovers in its handlers",
		"plugin/daemon/socket.go:serveSocket":          "its handlers are guarded",
		"plugin/daemon/status.go:reportStatus":         "it reads containerd's configuration, which is root's",
		"nri/decline.go:decline":                       "a process of its own, which ends after one answer",
		"plugin/supervisor/supervisor.go:await":        "it waits for a lock",
		"plugin/supervisor/supervisor.go:start":        "it waits for a process",
		"plugin/supervisor/watch.go:Watch":             "it waits for a lock, and starts a process",
		"plugin/supervisor/watch.go:startSupervisor":   "it waits for a process",
		"plugin/internal/metrics/serve.go:Serve":       "net/http recovers in its handlers",
		"plugin/internal/socket/serve.go:Serve":        "net/http recovers in its handlers",
		"plugin/internal/tracing/queue.go:newQueue":    "each export is guarded",
		"plugin/verifier/descriptor.go:readDescriptor": "it copies bytes; a process that panics refuses the pull",
	}
}

// TestEveryGoroutineOfTheProductIsGuarded: a panic without recover ends the daemon, and then no container starts on the
// node.
func TestEveryGoroutineOfTheProductIsGuarded(t *testing.T) {
	reasons := unguarded()
	used := map[string]bool{}
	for _, s := range sources(t) {
		if s.test || !withinAny(s.folder(), []string{"conf", "nri", "plugin", "policy"}) {
			continue
		}
		for _, declaration := range s.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			for _, started := range goroutines(function) {
				place := s.path + ":" + function.Name.Name
				if !callsGuard(started) && reasons[place] == "" {
					t.Errorf("%s starts a goroutine without policy.Guard: a panic there ends the daemon", place)
				}
				used[place] = used[place] || !callsGuard(started)
			}
		}
	}
	for _, place := range slices.Sorted(maps.Keys(reasons)) {
		if !used[place] {
			t.Errorf("%s is listed, and starts no goroutine without a guard", place)
		}
	}
}

// goroutines returns the statements with which a function starts goroutines: go, or a method Go.
func goroutines(function *ast.FuncDecl) (started []ast.Node) {
	ast.Inspect(function, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt:
			started = append(started, node.Call)
		case *ast.CallExpr:
			if selector, ok := node.Fun.(*ast.SelectorExpr); ok && selector.Sel.Name == "Go" {
				started = append(started, node)
			}
		}
		return true
	})
	return started
}

func callsGuard(started ast.Node) (guarded bool) {
	ast.Inspect(started, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok && selector.Sel.Name == "Guard" {
			guarded = true
		}
		return !guarded
	})
	return guarded
}

// TestNoNamedResultIsNilWhereADeferUsesIt: return nil, err sets a named result to nil before deferred functions run,
// and a deferred Close of the result then panics instead of returning the error.
func TestNoNamedResultIsNilWhereADeferUsesIt(t *testing.T) {
	for _, s := range sources(t) {
		ast.Inspect(s.syntax, func(node ast.Node) bool {
			var kind *ast.FuncType
			var body *ast.BlockStmt
			switch node := node.(type) {
			case *ast.FuncDecl:
				kind, body = node.Type, node.Body
			case *ast.FuncLit:
				kind, body = node.Type, node.Body
			default:
				return true
			}
			for _, name := range pointerResults(kind) {
				if body != nil && setsNil(body, name, kind) && deferUses(body, name) {
					t.Errorf("%s: a deferred function uses the result %s, which a return sets to nil", s.path, name)
				}
			}
			return true
		})
	}
}

// pointerResults returns the names of the results that are pointers.
func pointerResults(kind *ast.FuncType) (names []string) {
	if kind.Results == nil {
		return nil
	}
	for _, field := range kind.Results.List {
		if _, pointer := field.Type.(*ast.StarExpr); !pointer {
			continue
		}
		for _, name := range field.Names {
			names = append(names, name.Name)
		}
	}
	return names
}

// setsNil reports whether a return statement returns nil for that result.
func setsNil(body *ast.BlockStmt, name string, kind *ast.FuncType) (sets bool) {
	place, at := -1, 0
	for _, field := range kind.Results.List {
		for _, result := range field.Names {
			if result.Name == name {
				place = at
			}
			at++
		}
	}
	ast.Inspect(body, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			if place < len(node.Results) {
				value, ok := node.Results[place].(*ast.Ident)
				sets = sets || ok && value.Name == "nil"
			}
		}
		return true
	})
	return sets
}

// deferUses reports whether a deferred function calls a method of the result without a comparison with nil.
func deferUses(body *ast.BlockStmt, name string) (uses bool) {
	ast.Inspect(body, func(node ast.Node) bool {
		deferred, ok := node.(*ast.DeferStmt)
		if !ok {
			return true
		}
		literal, ok := deferred.Call.Fun.(*ast.FuncLit)
		if !ok {
			return true // Its receiver was evaluated when it was deferred.
		}
		checked := false
		ast.Inspect(literal, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.BinaryExpr:
				of, ok := node.X.(*ast.Ident)
				checked = checked || ok && of.Name == name && node.Op == token.NEQ
			case *ast.SelectorExpr:
				of, ok := node.X.(*ast.Ident)
				uses = uses || ok && of.Name == name && !checked
			}
			return true
		})
		return true
	})
	return uses
}

// TestThePatternOfANilResultIsFound in an example, because the test above finds none in this repository.
func TestThePatternOfANilResultIsFound(t *testing.T) {
	for name, test := range map[string]struct {
		source string
		want   bool
	}{
		"closed by a deferred function": {
			`func f() (s *S, err error) { s = new(S); defer func() { if err != nil { s.close() } }(); return nil, err }`, true,
		},
		"compared with nil first": {
			`func f() (s *S, err error) { s = new(S); defer func() { if s != nil { s.close() } }(); return nil, err }`, false,
		},
		"another variable": {
			`func f() (_ *S, err error) { s := new(S); defer func() { if err != nil { s.close() } }(); return nil, err }`, false,
		},
		"returned as it is": {
			`func f() (s *S, err error) { s = new(S); defer func() { if err != nil { s.close() } }(); return s, err }`, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			function := parseFunction(t, test.source)
			got := false
			for _, result := range pointerResults(function.Type) {
				got = got || setsNil(function.Body, result, function.Type) && deferUses(function.Body, result)
			}
			if got != test.want {
				t.Errorf("found: %v", got)
			}
		})
	}
}

func parseFunction(t *testing.T, source string) *ast.FuncDecl {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+source, 0)
	if err != nil {
		t.Fatal(err)
	}
	function, ok := file.Decls[0].(*ast.FuncDecl)
	if !ok {
		t.Fatalf("%s is no function", source)
	}
	return function
}
