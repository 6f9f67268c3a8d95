package signature_test

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"weak"

	"github.com/google/go-cmp/cmp"
	containers "go.podman.io/image/v5/signature"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

// noFiles is a file system without files.
func noFiles(path string) ([]byte, error) {
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

func TestDocumentsThatLoad(t *testing.T) {
	for name, raw := range goodDocuments() {
		t.Run(name, func(t *testing.T) {
			if _, err := containers.NewPolicyFromBytes([]byte(raw)); err != nil {
				t.Fatalf("containers/image refuses it: %v", err)
			}
			document, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(raw), noFiles)
			if err != nil {
				t.Fatal(err)
			}
			if len(document.Default) == 0 {
				t.Error("the document has no default")
			}
		})
	}
}

func TestDocumentsThatDoNotLoad(t *testing.T) {
	for name, raw := range badDocuments() {
		t.Run(name, func(t *testing.T) {
			if _, err := containers.NewPolicyFromBytes([]byte(raw)); err == nil {
				t.Fatal("containers/image loads it")
			}
			if document, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(raw), noFiles); err == nil {
				t.Fatalf("it loads: %+v", document)
			}
		})
	}
}

// TestErrorsNameTheScope: an operator with two hundred scopes must find the wrong one.
func TestErrorsNameTheScope(t *testing.T) {
	document := []byte(scoped("docker", "example.com/app", `[{"type":"rejcet"}]`))
	_, err := signature.NewParser(signature.Kinds(nil)).Parse(document, noFiles)
	if err == nil {
		t.Fatal("it loads")
	}
	for _, want := range []string{`scope "example.com/app"`, `transport "docker"`, `"rejcet"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %s", err, want)
		}
	}
}

func TestScopesAreThoseOfDocker(t *testing.T) {
	raw := `{"default":` + rejectList + `,"transports":{
		"docker":{"":` + acceptList + `,"example.com":` + rejectList + `,"*.example.com":` + acceptList + `},
		"":{"x":` + acceptList + `},"docker-daemon":{"":` + acceptList + `},"dir":{"/x":` + acceptList + `}}}`
	document, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(raw), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	if document.Default[0].Kind != "reject" {
		t.Errorf("the default is %s", document.Default[0].Kind)
	}
	got := make(map[string]string)
	for scope, list := range document.Scopes {
		got[scope] = string(list[0].Kind)
	}
	want := map[string]string{
		"": "insecureAcceptAnything", "example.com": "reject",
		"*.example.com": "insecureAcceptAnything",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNeedsEvidence(t *testing.T) {
	for requirement, want := range map[string]bool{
		`{"type":"reject"}`:                 false,
		`{"type":"insecureAcceptAnything"}`: false,
		`{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}`: false,
		sigstoreSigned(someKey, ""): true,
		signedBy(someKey, ""):       true,
	} {
		if got := parse(t, requirement)[0].NeedsEvidence; got != want {
			t.Errorf("%s: %t", requirement, got)
		}
	}
}

func TestEqualListsAreStoredOnce(t *testing.T) {
	parser := signature.NewParser(signature.Kinds(nil))
	key := sigstoreSigned(keyPath("cosign.pub"), "")
	documents := make([]*policy.Document, 8)
	var group sync.WaitGroup
	for i := range documents {
		group.Go(func() {
			raw := fmt.Sprintf(`{"default":[%s],"transports":{"docker":{"a":[%s],"own%d":%s}}}`, key, key, i, rejectList)
			documents[i], _ = parser.Parse([]byte(raw), os.ReadFile)
		})
	}
	group.Wait()
	for _, document := range documents {
		if document.Default[0] != documents[0].Default[0] || document.Scopes["a"][0] != documents[0].Default[0] {
			t.Error("a requirement is there twice")
		}
	}
}

// TestDocumentsAreNotKeptInMemory: of ten thousand files, only what differs stays in memory.
func TestDocumentsAreNotKeptInMemory(t *testing.T) {
	parser := signature.NewParser(signature.Kinds(nil))
	requirement := sigstoreSigned(keyPath("cosign.pub"), `{"type":"exactRepository","dockerRepository":"example.com/a"}`)
	raw := `{"default":[` + requirement + `],"transports":{"docker":{"example.com/a":[` + requirement + `]}}}`
	document, kept := parseAndForget(t, parser, raw)
	runtime.GC()
	if kept.Value() != nil {
		t.Error("the bytes of the document are still in memory")
	}
	runtime.KeepAlive(document)
	runtime.KeepAlive(parser)
}

// parseAndForget parses a private copy of the bytes.
func parseAndForget(t *testing.T, parser *signature.Parser, raw string) (*policy.Document, weak.Pointer[byte]) {
	t.Helper()
	bytes := []byte(raw)
	document, err := parser.Parse(bytes, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	return document, weak.Make(&bytes[0])
}
