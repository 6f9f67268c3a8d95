package evidence_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
)

func FuzzRecord(f *testing.F) {
	m, repository := manifestOf("image"), "registry.example/app"
	sum := strings.Repeat("0", 64)
	for _, seed := range []string{
		`{"version":1,"manifest":"` + m.String() + `","repository":"registry.example/app","outcome":"none"}`,
		`{"version":1,"manifest":"` + m.String() + `","repository":"registry.example/app","outcome":"found",` +
			`"set":"set-1","signatures":[{"size":3,"sha256":"` + sum + `"}]}`,
		`{"version":1,"manifest":"` + m.String() + `","repository":"registry.example/app","outcome":"found",` +
			`"imported":"2026-01-02T03:04:05Z","set":"set-1","bundles":[{"size":3,"sha256":"` + sum + `","imported":true}]}`,
		`{"version":2}`, `null`, `[]`, ``, `{"signatures":[{"size":-1}]}`,
	} {
		f.Add([]byte(seed))
	}
	root := f.TempDir()
	base := evidence.Location(root, m, repository)
	if err := os.MkdirAll(filepath.Join(base, "set-1"), 0o700); err != nil {
		f.Fatal(err)
	}
	named, err := policy.Normalize(repository)
	if err != nil {
		f.Fatal(err)
	}
	read := evidence.Read(root)
	f.Fuzz(func(t *testing.T, raw []byte) {
		files, err := evidence.ParseRecord(raw, m, repository)
		if files > 64 && err == nil {
			t.Errorf("a record of %d files is accepted", files)
		}
		if err := os.WriteFile(filepath.Join(base, "record.json"), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		got := read(manifests(m), named)[0]
		if got.State == policy.Found || got.State == policy.Failed {
			t.Errorf("out of an empty set came %+v", got)
		}
		if got.State == policy.None && err != nil {
			t.Errorf("%v, and yet %+v", err, got)
		}
	})
}

func FuzzSignatureFile(f *testing.F) {
	f.Add([]byte("payload"), "key", "value")
	f.Add([]byte(nil), "", "\x00\n\xff\"")
	f.Fuzz(func(t *testing.T, payload []byte, name, value string) {
		file, err := format.SignatureFile(simpleSigning, payload, map[string]string{name: value})
		if err != nil {
			t.Fatal(err)
		}
		body, ok := strings.CutPrefix(string(file), "\x00sigstore-json\n")
		if !ok || strings.Contains(body, "\n") {
			t.Fatalf("%q", file)
		}
		var back struct{ Payload []byte }
		if err := json.Unmarshal([]byte(body), &back); err != nil || string(back.Payload) != string(payload) {
			t.Errorf("%q came back as %q, %v", payload, back.Payload, err)
		}
	})
}
