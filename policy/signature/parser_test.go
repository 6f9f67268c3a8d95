package signature_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
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
			document, err := signature.NewParser().Parse([]byte(raw), noFiles)
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
			if document, err := signature.NewParser().Parse([]byte(raw), noFiles); err == nil {
				t.Fatalf("it loads: %+v", document)
			}
		})
	}
}

// TestErrorsNameThePlace: an operator with two hundred scopes has to find the wrong one.
func TestErrorsNameThePlace(t *testing.T) {
	_, err := signature.NewParser().Parse([]byte(scoped("docker", "example.com/app", `[{"type":"rejcet"}]`)), noFiles)
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
		"docker-daemon":{"":` + acceptList + `},"dir":{"/x":` + acceptList + `}}}`
	document, err := signature.NewParser().Parse([]byte(raw), noFiles)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for scope, list := range document.Scopes {
		got[scope] = list[0].Type
	}
	want := map[string]string{"": "insecureAcceptAnything", "example.com": "reject", "*.example.com": "insecureAcceptAnything"}
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

func TestEqualListsAreKeptOnce(t *testing.T) {
	parser := signature.NewParser()
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

// TestDocumentsAreNotKept: ten thousand files of which only what is new in each is to stay in memory.
func TestDocumentsAreNotKept(t *testing.T) {
	parser := signature.NewParser()
	requirement := sigstoreSigned(keyPath("cosign.pub"), `{"type":"exactRepository","dockerRepository":"example.com/a"}`)
	raw := []byte(`{"default":[` + requirement + `],"transports":{"docker":{"example.com/a":[` + requirement + `]}}}`)
	document, err := parser.Parse(raw, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	kept := weak.Make(&raw[0])
	raw = nil
	runtime.GC()
	if kept.Value() != nil {
		t.Error("the bytes of the document are still in memory")
	}
	runtime.KeepAlive(document)
	runtime.KeepAlive(parser)
}

// TestKeyFiles: whatever names a file has its contents, and is then the same as if they had been written there.
func TestKeyFiles(t *testing.T) {
	key, ring := fixture(t, "cosign.pub"), fixture(t, "public-key.gpg")
	ca, root, between := fixture(t, "fulcio_v1.crt.pem"), fixture(t, "pki_root_crts.pem"), fixture(t, "pki_intermediate_crts.pem")
	files := map[string][]byte{"/key": key, "/other": fixture(t, "cosign2.pub"), "/ring": ring, "/ca": ca, "/root": root, "/between": between}
	read := func(path string) ([]byte, error) {
		if contents, ok := files[path]; ok {
			return contents, nil
		}
		return noFiles(path)
	}
	for name, test := range map[string]struct {
		paths, data string
		files       []string
	}{
		"keyPath": {sigstoreSigned(`"keyPath":"/key"`, ""), sigstoreSigned(`"keyData":`+data(key), ""), []string{"/key"}},
		"keyPaths": {
			sigstoreSigned(`"keyPaths":["/other","/key"]`, ""),
			sigstoreSigned(`"keyDatas":`+data([][]byte{files["/other"], key}), ""),
			[]string{"/other", "/key"},
		},
		"rekorPublicKeyPath": {
			sigstoreSigned(`"keyPath":"/key","rekorPublicKeyPath":"/other"`, ""),
			sigstoreSigned(`"keyData":`+data(key)+`,"rekorPublicKeyData":`+data(files["/other"]), ""),
			[]string{"/key", "/other"},
		},
		"fulcio and rekorPublicKeyPaths": {
			sigstoreSigned(`"fulcio":{"caPath":"/ca","oidcIssuer":"i","subjectEmail":"e"},"rekorPublicKeyPaths":["/key"]`, ""),
			sigstoreSigned(`"fulcio":{"caData":`+data(ca)+`,"oidcIssuer":"i","subjectEmail":"e"},"rekorPublicKeyDatas":`+data([][]byte{key}), ""),
			[]string{"/ca", "/key"},
		},
		"pki": {
			sigstoreSigned(`"pki":{"caRootsPath":"/root","caIntermediatesPath":"/between","subjectEmail":"e"}`, ""),
			sigstoreSigned(`"pki":{"caRootsData":`+data(root)+`,"caIntermediatesData":`+data(between)+`,"subjectEmail":"e"}`, ""),
			[]string{"/between", "/root"},
		},
		"GPG": {signedBy(`"keyPath":"/ring"`, ""), signedBy(`"keyData":`+data(ring), ""), []string{"/ring"}},
		"beside what is ignored": {
			sigstoreSigned(`"keyPath":"/key","keyData":null,"rekorPublicKeyPath":""`, ""), sigstoreSigned(`"keyData":`+data(key), ""), []string{"/key"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			document, err := signature.NewParser().Parse([]byte(list(test.paths)), read)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parse(t, test.data), document.Default); diff != "" {
				t.Error(diff)
			}
			if document.Default[0].Problem != "" {
				t.Error(document.Default[0].Problem)
			}
			if diff := cmp.Diff(test.files, document.KeyFiles); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAChangedKeyFileIsAnotherRequirement(t *testing.T) {
	contents := fixture(t, "cosign.pub")
	failure := error(nil)
	read := func(string) ([]byte, error) { return contents, failure }
	parser := signature.NewParser()
	load := func() *policy.Requirement {
		document, err := parser.Parse([]byte(list(sigstoreSigned(`"keyPath":"/key"`, ""))), read)
		if err != nil {
			t.Fatal(err)
		}
		return document.Default[0]
	}
	first := load()
	if again := load(); again != first {
		t.Error("the same contents give another requirement")
	}
	contents = fixture(t, "cosign2.pub")
	second := load()
	if second.ID == first.ID {
		t.Error("other contents give the same requirement")
	}
	failure = errors.New("input/output error")
	third := load()
	if third.Problem != "reading key file /key: input/output error" || third.ID == second.ID {
		t.Errorf("an unreadable file gives %+v", third)
	}
	failure, contents = nil, fixture(t, "cosign.pub")
	if again := load(); again.ID != first.ID || again.Problem != "" {
		t.Errorf("a file that can be read again gives %+v", again)
	}
}

// TestAMissingKeyFileHarmsItsRequirementOnly: the document loads, and the other scopes hold.
func TestAMissingKeyFileHarmsItsRequirementOnly(t *testing.T) {
	raw := `{"default":` + rejectList + `,"transports":{"docker":{
		"a":[` + sigstoreSigned(`"keyPaths":["/missing"]`, "") + `,{"type":"insecureAcceptAnything"}],
		"b":[` + sigstoreSigned(keyPath("cosign.pub"), "") + `]}, "atomic":{"":[` + signedBy(`"keyPath":"/elsewhere"`, "") + `]}}}`
	document, err := signature.NewParser().Parse([]byte(raw), os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	want := "reading key file /missing: no such file or directory"
	if got := document.Scopes["a"][0].Problem; got != want {
		t.Errorf("the problem is %q, want %q", got, want)
	}
	for _, sound := range []*policy.Requirement{document.Default[0], document.Scopes["a"][1], document.Scopes["b"][0]} {
		if sound.Problem != "" {
			t.Errorf("%s has a problem: %s", sound.Type, sound.Problem)
		}
	}
	slices.Sort(document.KeyFiles)
	if diff := cmp.Diff([]string{"/elsewhere", "/missing", fixturePath("cosign.pub")}, document.KeyFiles); diff != "" {
		t.Error(diff)
	}
}
