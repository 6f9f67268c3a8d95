package files_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
)

const (
	system = `{"is": "system"}`
	strict = `{"is": "strict"}`
	lax    = `{"is": "lax"}`
)

func TestTheDocumentOfANamespaceAtStart(t *testing.T) {
	big := `{"is": "` + strings.Repeat("x", 8<<20) + `"}`
	tests := map[string]struct {
		files map[string]string
		also  func(*node)
		want  map[string]string // What governs a namespace, or how that begins.
	}{
		"a namespace's document replaces the system's": {
			files: map[string]string{"system.json": system, "policies/prod.json": strict},
			want:  map[string]string{"prod": "strict", "dev": "system", "default": "system"},
		},
		"the namespace default is one like others": {
			files: map[string]string{"system.json": system, "policies/default.json": strict},
			want:  map[string]string{"default": "strict", "dev": "system"},
		},
		"a document that does not parse denies its namespace only": {
			files: map[string]string{"system.json": system, "policies/prod.json": `{"is": `, "policies/dev.json": lax},
			want: map[string]string{
				"prod": "denied: parsing policy ROOT/policies/prod.json: unexpected EOF", "dev": "lax", "other": "system",
			},
		},
		"an empty document denies": {
			files: map[string]string{"system.json": system, "policies/prod.json": ""},
			want:  map[string]string{"prod": "denied: parsing policy ROOT/policies/prod.json: EOF"},
		},
		"a document of more than 8 MiB denies": {
			files: map[string]string{"system.json": system, "policies/prod.json": big},
			want: map[string]string{"prod": "denied: reading policy ROOT/policies/prod.json: " +
				"it has 8388618 bytes; the maximum is 8388608"},
		},
		"a system policy that is missing denies those who rely on it": {
			files: map[string]string{"policies/prod.json": strict},
			want: map[string]string{
				"prod": "strict", "dev": "denied: reading policy ROOT/system.json: no such file or directory",
			},
		},
		"a system policy that does not parse denies those who rely on it": {
			files: map[string]string{"system.json": `{"is": "x", "strcit": 1}`, "policies/prod.json": strict},
			want: map[string]string{
				"prod": "strict", "dev": `denied: parsing policy ROOT/system.json: json: unknown field "strcit"`,
			},
		},
		"a directory in the place of a document denies": {
			files: map[string]string{"system.json": system},
			also:  func(n *node) { n.mkdir("policies/prod.json") },
			want: map[string]string{"prod": "denied: reading policy ROOT/policies/prod.json: " +
				"it is a directory, not a regular file"},
		},
		"a named pipe in the place of a document denies and is not waited for": {
			files: map[string]string{"system.json": system},
			also:  func(n *node) { n.must(syscall.Mkfifo(n.path("policies/prod.json"), 0o600)) },
			want: map[string]string{"prod": "denied: reading policy ROOT/policies/prod.json: " +
				"it is a named pipe, not a regular file"},
		},
		"a named pipe in the place of the system policy is not waited for": {
			also: func(n *node) { n.must(syscall.Mkfifo(n.path("system.json"), 0o600)) },
			want: map[string]string{"prod": "denied: reading policy ROOT/system.json: it is a named pipe"},
		},
		"a device in the place of a document denies": {
			files: map[string]string{"system.json": system},
			also:  func(n *node) { n.symlink("/dev/zero", "policies/prod.json") },
			want: map[string]string{"prod": "denied: reading policy ROOT/policies/prod.json: " +
				"it is a device, not a regular file"},
		},
		"a symlink to a document is a document": {
			files: map[string]string{"system.json": system, "elsewhere/p": strict},
			also:  func(n *node) { n.symlink("../elsewhere/p", "policies/prod.json") },
			want:  map[string]string{"prod": "strict"},
		},
		"a symlink to nothing denies": {
			files: map[string]string{"system.json": system},
			also:  func(n *node) { n.symlink("nowhere", "policies/prod.json") },
			want: map[string]string{"prod": "denied: reading policy ROOT/policies/prod.json: " +
				"it is a symlink to a file that does not exist"},
		},
		"a symlink to itself denies": {
			files: map[string]string{"system.json": system},
			also:  func(n *node) { n.symlink("prod.json", "policies/prod.json") },
			want: map[string]string{"prod": "denied: reading policy ROOT/policies/prod.json: " +
				"too many levels of symbolic links"},
		},
		"what editors and the kubelet leave behind is not a document": {
			files: map[string]string{
				"system.json": system, "policies/prod.json~": strict, "policies/.prod.json.swp": "b0VIM",
				"policies/4913": "", "policies/#prod.json#": strict, "policies/prod.json.bak": strict,
				"policies/.prod.json": strict, "policies/..2026_11/prod.json": strict, "policies/README": "",
			},
			want: map[string]string{"prod": "system"},
		},
		"a name that is not a namespace's is not a document": {
			files: map[string]string{
				"system.json": system, "policies/Prod.json": strict, "policies/-prod.json": strict,
				"policies/a.prod.json": strict, "policies/" + strings.Repeat("a", 64) + ".json": strict,
			},
			want: map[string]string{"prod": "system", strings.Repeat("a", 64): "system", "Prod": "system"},
		},
		"a directory that is not configured holds nothing": {
			files: map[string]string{"system.json": system, "policies/prod.json": strict},
			also:  func(n *node) { n.config.Directory = "" },
			want:  map[string]string{"prod": "system"},
		},
		"an empty directory holds nothing": {
			files: map[string]string{"system.json": system},
			want:  map[string]string{"prod": "system"},
		},
		"an absent directory denies everyone": {
			files: map[string]string{"system.json": system},
			also:  func(n *node) { n.remove("policies") },
			want: map[string]string{
				"prod": "denied: reading policy directory ROOT/policies: no such file or directory", "dev": "denied",
			},
		},
		"a file in the place of the directory denies everyone": {
			files: map[string]string{"system.json": system},
			also:  func(n *node) { n.remove("policies"); n.write("policies", strict) },
			want:  map[string]string{"prod": "denied: reading policy directory ROOT/policies: not a directory"},
		},
		"a named pipe in the place of the directory denies everyone and is not waited for": {
			files: map[string]string{"system.json": system},
			also:  func(n *node) { n.remove("policies"); n.must(syscall.Mkfifo(n.path("policies"), 0o600)) },
			want:  map[string]string{"prod": "denied: reading policy directory ROOT/policies: not a directory"},
		},
		"a symlink to itself instead of the directory denies every namespace": {
			files: map[string]string{"system.json": system},
			also:  func(n *node) { n.remove("policies"); n.symlink("policies", "policies") },
			want:  map[string]string{"prod": "denied: reading policy directory ROOT/policies: too many levels of"},
		},
		"an unreadable key file does not keep the document from loading": {
			files: map[string]string{"system.json": `{"is": "system", "keys": ["/nowhere/key.pub"]}`},
			want:  map[string]string{"prod": "system+"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, test.files)
			if test.also != nil {
				test.also(n)
			}
			set := files.Open(n.config).Current()
			for namespace, want := range test.want {
				got := strings.ReplaceAll(governs(set, namespace), n.root, "ROOT")
				if !strings.HasPrefix(got, want) {
					t.Errorf("%s is governed by %q, want %q", namespace, got, want)
				}
				if strings.Contains(got, "\n") {
					t.Errorf("%q is more than one line", got)
				}
			}
		})
	}
}

func TestASocketInsteadOfADocumentDenies(t *testing.T) {
	// The path of a socket has at most 107 bytes, and that of a test's directory may be longer.
	directory, err := os.MkdirTemp("", "s") //nolint:usetesting // t.TempDir is too long.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(directory) })
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(directory, "prod.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	set := files.Open(files.Config{
		System: "/nowhere/policy.json", Directory: directory, Parse: new(parser).parse,
	}).Current()
	if got, want := governs(set, "prod"), "it is a socket, not a regular file"; !strings.HasSuffix(got, want) {
		t.Errorf("prod is governed by %q, want %q", got, want)
	}
}

func TestADocumentKnowsItsPath(t *testing.T) {
	n := newNode(t, map[string]string{"system.json": system, "policies/prod.json": strict})
	set := files.Open(n.config).Current()
	got := map[string]string{"prod": set.Namespaces["prod"].Document.Name, "": set.System.Document.Name}
	want := map[string]string{"prod": n.path("policies/prod.json"), "": n.path("system.json")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAParserThatReturnsNothingDenies(t *testing.T) {
	n := newNode(t, map[string]string{"system.json": system})
	parse := func([]byte, func(string) ([]byte, error)) (*policy.Document, error) { return nil, nil }
	set := files.Open(files.Config{System: n.config.System, Parse: parse}).Current()
	if got := governs(set, "prod"); !strings.HasPrefix(got, "denied: parsing policy") {
		t.Errorf("prod is governed by %q, want a denial", got)
	}
}

func TestStatusAtStart(t *testing.T) {
	n := newNode(t, map[string]string{
		"system.json": system, "policies/prod.json": "{", "policies/dev.json": lax, "policies/Prod.json": lax,
		"policies/qa.json":  `{"is": "qa", "keys": ["/nowhere/a.pub"]}`,
		"policies/pre.json": `{"is": "pre", "keys": ["/nowhere/a.pub"]}`,
	})
	status := files.Open(n.config).Status()
	if !status.LastGood.IsZero() {
		t.Errorf("LastGood is %s although something is wrong", status.LastGood)
	}
	prod := n.path("policies/prod.json")
	want := files.Status{Documents: 5, Failures: 1, Problems: []files.Problem{
		{Text: "parsing policy " + prod + ": unexpected EOF", Namespace: "prod", Path: prod},
		{Text: "reading key file /nowhere/a.pub: no such file or directory"},
	}}
	for _, namespace := range []string{"pre", "qa"} {
		want.Keys = append(want.Keys, files.KeyProblem{
			Document: n.path("policies/" + namespace + ".json"), Namespace: namespace, IsDefault: true,
			Cause: "reading key file /nowhere/a.pub: no such file or directory",
		})
	}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Error(diff)
	}
	n.logged(1, `"policy problem"`, "prod.json")
	// The problem is reported once, although two documents name the file.
	n.logged(1, `"policy problem"`, "a.pub", "policies/pre.json", `"scope":"default"`, `"others":1`)
	n.logged(1, "is not a namespace", "Prod.json")
	n.logged(1, "policies loaded")
	n.logged(4, "")
}

func TestKeyFilesAreReadOnceForAllDocuments(t *testing.T) {
	n := newNode(t, map[string]string{"a.pub": "A"})
	big := strings.Repeat("x", 1<<20+1)
	n.write("big.pub", big)
	n.must(syscall.Mkfifo(n.path("pipe.pub"), 0o600))
	n.write("policies/a.json", `{"is": "a", "keys": ["`+n.path("a.pub")+`"]}`)
	n.write("policies/b.json", `{"is": "b", "keys": ["`+n.path("a.pub")+`"]}`)
	n.write("policies/c.json", `{"is": "c", "keys": ["`+n.path("big.pub")+`"]}`)
	n.write("policies/d.json", `{"is": "d", "keys": ["`+n.path("pipe.pub")+`"]}`)
	documents := files.Open(n.config)
	for namespace, want := range map[string]string{"a": "a+A", "b": "b+A", "c": "c+", "d": "d+"} {
		if got := governs(documents.Current(), namespace); got != want {
			t.Errorf("%s is governed by %q, want %q", namespace, got, want)
		}
	}
	n.documents = documents
	n.problem("big.pub: it has 1048577 bytes; the maximum is 1048576")
	n.problem("pipe.pub: it is a named pipe, not a regular file")
}

func FuzzDocumentName(f *testing.F) {
	for _, name := range []string{"prod.json", ".json", "..json", "../etc.json", ".prod.json.swp", "4913", "a/b.json"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		namespace, ok := files.DocumentName(name)
		if !ok || !policy.ValidNamespace(namespace) {
			return
		}
		if namespace+".json" != name || filepath.Join("/d", name) != "/d/"+name {
			t.Errorf("%q is taken for the document of %q", name, namespace)
		}
	})
}
