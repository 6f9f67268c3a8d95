package signature_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

// TestKeyFiles: a requirement that names files becomes the same as one with their contents.
func TestKeyFiles(t *testing.T) {
	key, ring := fixture(t, "cosign.pub"), fixture(t, "public-key.gpg")
	ca, root, between := fixture(t, "fulcio_v1.crt.pem"), fixture(t, "pki_root_crts.pem"), fixture(t,
		"pki_intermediate_crts.pem")
	files := map[string][]byte{
		"/key": key, "/other": fixture(t, "cosign2.pub"), "/ring": ring, "/ca": ca,
		"/root": root, "/between": between,
	}
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
			sigstoreSigned(`"fulcio":{"caData":`+data(ca)+`,"oidcIssuer":"i","subjectEmail":"e"},"rekorPublicKeyDatas":`+
				data([][]byte{key}), ""),
			[]string{"/ca", "/key"},
		},
		"pki": {
			sigstoreSigned(`"pki":{"caRootsPath":"/root","caIntermediatesPath":"/between","subjectEmail":"e"}`, ""),
			sigstoreSigned(`"pki":{"caRootsData":`+data(root)+`,"caIntermediatesData":`+data(between)+
				`,"subjectEmail":"e"}`, ""),
			[]string{"/between", "/root"},
		},
		"GPG": {signedBy(`"keyPath":"/ring"`, ""), signedBy(`"keyData":`+data(ring), ""), []string{"/ring"}},
		"with ignored members": {
			sigstoreSigned(`"keyPath":"/key","keyData":null,"rekorPublicKeyPath":"","rekorPublicKeyData":null`, ""),
			sigstoreSigned(`"keyData":`+
				data(key), ""),
			[]string{"/key"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			document, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(list(test.paths)), read)
			if err != nil {
				t.Fatal(err)
			}
			want := parse(t, test.data)
			want[0].KeyFiles = test.files
			if diff := cmp.Diff(want, document.Default); diff != "" {
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
	parser := signature.NewParser(signature.Kinds(nil))
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
	failure, contents = nil, []byte("no key")
	fourth := load()
	if !strings.HasSuffix(fourth.Problem, "(read from /key)") || fourth.ID == third.ID {
		t.Errorf("a file without a key gives %+v", fourth)
	}
	contents = fixture(t, "cosign.pub")
	if again := load(); again.ID != first.ID || again.Problem != "" {
		t.Errorf("a file that can be read again gives %+v", again)
	}
}

// TestAMissingKeyFileAffectsItsRequirementOnly: the document loads, and the other scopes work.
func TestAMissingKeyFileAffectsItsRequirementOnly(t *testing.T) {
	raw := `{"default":` + rejectList + `,"transports":{"docker":{
		"a":[` + sigstoreSigned(`"keyPaths":["/missing"]`, "") + `,{"type":"insecureAcceptAnything"}],
		"b":[` + sigstoreSigned(keyPath("cosign.pub"), "") + `]},
			"atomic":{"":[` + signedBy(`"keyPath":"/elsewhere"`, "") + `]}}}`
	document, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(raw), os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	want := "reading key file /missing: no such file or directory"
	if got := document.Scopes["a"][0].Problem; got != want {
		t.Errorf("the problem is %q, want %q", got, want)
	}
	for _, sound := range []*policy.Requirement{document.Default[0], document.Scopes["a"][1], document.Scopes["b"][0]} {
		if sound.Problem != "" {
			t.Errorf("%s has a problem: %s", sound.Kind, sound.Problem)
		}
	}
	slices.Sort(document.KeyFiles)
	if diff := cmp.Diff([]string{"/elsewhere", "/missing", fixturePath("cosign.pub")}, document.KeyFiles); diff != "" {
		t.Error(diff)
	}
}
