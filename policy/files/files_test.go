package files_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
)

// testTimeout limits the wait for a condition that should hold within two seconds.
const testTimeout = 30 * time.Second

// parser replaces package signature, which siblings do not import. It is as strict; its documents contain a
// requirement's kind: {"is": "strict", "keys": ["/a.pub"]}. Package conf/policies tests the whole with the real parser.
type parser struct{ parsed atomic.Int64 }

// panics is the kind that panics the parser.
const panics = "panics"

func (p *parser) parse(raw []byte, read func(string) ([]byte, error)) (*policy.Document, error) {
	p.parsed.Add(1)
	var written struct {
		Is   string   `json:"is"`
		Keys []string `json:"keys"`
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&written); err != nil {
		return nil, err
	}
	if written.Is == panics {
		panic("out of order")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) || written.Is == "" {
		return nil, errors.New("there is more or less than one document")
	}
	requirement := &policy.Requirement{Kind: policy.Kind(written.Is)}
	for _, path := range written.Keys {
		key, err := read(path)
		if err != nil {
			requirement.Problem = "reading key file " + path + ": " + err.Error()
		}
		requirement.Kind += "+" + policy.Kind(key)
	}
	return &policy.Document{Default: []*policy.Requirement{requirement}, KeyFiles: written.Keys}, nil
}

// node is a directory with a system policy and a directory of documents, and the documents that countersign loads.
type node struct {
	*testing.T
	root      string
	config    files.Config
	parser    parser
	documents *files.Documents
	news      chan struct{}
	logs      *records
}

// newNode writes documents without opening them. Names are relative to the node's root.
func newNode(t *testing.T, written map[string]string) *node {
	t.Helper()
	n := &node{T: t, root: t.TempDir(), news: make(chan struct{}, 1), logs: &records{}}
	n.mkdir("policies")
	for name, contents := range written {
		n.write(name, contents)
	}
	n.config = files.Config{
		System:    n.path("system.json"),
		Directory: n.path("policies"),
		StateFile: n.path("state/policies-seen"),
		Parse:     n.parser.parse,
		Logger:    slog.New(slog.NewJSONHandler(n.logs, nil)),
		Notify: func(files.Status) {
			select {
			case n.news <- struct{}{}:
			default:
			}
		},
	}
	return n
}

// run opens the documents and follows them until the test ends.
func (n *node) run() *node {
	n.Helper()
	return n.follow(files.Open(n.config))
}

func (n *node) follow(documents *files.Documents) *node {
	n.Helper()
	n.documents = documents
	n.Cleanup(n.start())
	return n
}

// start runs the documents, and returns a function that stops them and waits.
func (n *node) start() (stop func()) {
	n.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.documents.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			n.Errorf("Run: %v", err)
		}
	})
}

func (n *node) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(n.root, name)
}

func (n *node) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

func (n *node) mkdir(name string) {
	n.Helper()
	n.must(os.MkdirAll(n.path(name), 0o755))
}

// write writes a file in place, like cp.
func (n *node) write(name, contents string) {
	n.Helper()
	n.mkdir(filepath.Dir(name))
	n.must(os.WriteFile(n.path(name), []byte(contents), 0o644))
}

// put replaces a file atomically.
func (n *node) put(name, contents string) {
	n.Helper()
	n.write(".put", contents)
	n.rename(".put", name)
}

func (n *node) rename(from, to string) { n.Helper(); n.must(os.Rename(n.path(from), n.path(to))) }

func (n *node) remove(name string) { n.Helper(); n.must(os.RemoveAll(n.path(name))) }

func (n *node) symlink(target, name string) { n.Helper(); n.must(os.Symlink(target, n.path(name))) }

// replace changes the target of a symlink atomically, as the kubelet does with ..data.
func (n *node) replace(target, name string) {
	n.Helper()
	n.symlink(target, name+".new")
	n.rename(name+".new", name)
}

// governs describes the document of a namespace: its kind, or "denied: " and the cause.
func governs(set *policy.Set, namespace string) string {
	document, err := set.For(namespace)
	if err != nil {
		return "denied: " + err.Error()
	}
	return string(document.Default[0].Kind)
}

// until waits until the document of a namespace begins with want.
func (n *node) until(namespace, want string) {
	n.Helper()
	n.wait(namespace+" to be governed by "+want, func() bool {
		return strings.HasPrefix(governs(n.documents.Current(), namespace), want)
	})
}

// problem waits for a problem that contains the text; with an empty text, until there is none.
func (n *node) problem(text string) {
	n.Helper()
	n.wait("the problem "+text, func() bool {
		problems := n.documents.Status().Problems
		if text == "" {
			return len(problems) == 0
		}
		for _, problem := range problems {
			if strings.Contains(problem.Text, text) {
				return true
			}
		}
		return false
	})
}

// wait waits for a condition, which is checked after each new status.
func (n *node) wait(what string, condition func() bool) {
	n.Helper()
	late := time.After(testTimeout)
	for !condition() {
		select {
		case <-n.news:
		case <-late:
			n.Fatalf("waited in vain for %s\nstatus: %+v\nlog:\n%s", what, n.documents.Status(), n.logs)
		}
	}
}

// is checks the current document of a namespace.
func (n *node) is(namespace, want string) {
	n.Helper()
	if got := governs(n.documents.Current(), namespace); !strings.HasPrefix(got, want) {
		n.Errorf("%s is governed by %q, want %q", namespace, got, want)
	}
}

// logged checks how many log records contain all these words.
func (n *node) logged(want int, words ...string) {
	n.Helper()
	got := 0
	for line := range strings.Lines(n.logs.String()) {
		found := true
		for _, word := range words {
			found = found && strings.Contains(line, word)
		}
		if found {
			got++
		}
	}
	if got != want {
		n.Errorf("%d log records have %q, want %d:\n%s", got, words, want, n.logs)
	}
}

// records is a log that is safe to read while it is written.
type records struct {
	mutex sync.Mutex
	buf   bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.buf.Write(p)
}

func (r *records) String() string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.buf.String()
}
