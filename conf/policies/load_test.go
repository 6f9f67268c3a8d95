package policies_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/signature"
)

// publicKey returns a new public key in PEM.
func publicKey(tb testing.TB) []byte {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func writeFile(tb testing.TB, path string, contents []byte) {
	tb.Helper()
	if err := os.WriteFile(path, contents, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// clusterDocument renders a document as a cluster's controller does: the cluster's scopes, which are the same in every
// namespace, and one scope of the namespace. It has about 8 KiB.
func clusterDocument(namespace, key string) []byte {
	var scopes []string
	for i := range 20 {
		scopes = append(scopes, fmt.Sprintf(`"registry-%02d.cluster.example/team": [{"type": "sigstoreSigned",
			"keyData": %q, "signedIdentity": {"type": "matchRepository"}}]`, i, key))
	}
	scopes = append(scopes, fmt.Sprintf(`"registry.example/%s": [{"type": "sigstoreSigned",
		"keyData": %q, "signedIdentity": {"type": "matchRepository"}}]`, namespace, key))
	return fmt.Appendf(nil, `{"default": [{"type": "reject"}], "transports": {"docker": {%s}}}`,
		strings.Join(scopes, ",\n"))
}

// BenchmarkOpen10000Documents starts a node with this many namespaces. The bound is 2 s on two cores.
func BenchmarkOpen10000Documents(b *testing.B) {
	const documents = 10_000
	directory := b.TempDir()
	key := base64.StdEncoding.EncodeToString(publicKey(b))
	var bytes int64
	for i := range documents {
		namespace := fmt.Sprintf("team-%05d", i)
		raw := clusterDocument(namespace, key)
		bytes += int64(len(raw))
		writeFile(b, filepath.Join(directory, namespace+".json"), raw)
	}
	system := filepath.Join(directory, "system")
	writeFile(b, system, []byte(`{"default": [{"type": "reject"}]}`))
	b.SetBytes(bytes)
	before := heap()
	var loaded *files.Documents
	for b.Loop() {
		parse := signature.NewParser(signature.Kinds(nil)).Parse
		loaded = files.Open(files.Config{System: system, Directory: directory, Parse: parse})
	}
	b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-heap")
	if status := loaded.Status(); status.Documents != documents+1 || len(status.Problems) > 0 {
		b.Errorf("%d documents, problems: %v", status.Documents, status.Problems)
	}
}

func heap() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // The first one only moves what pools hold.
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestAChangedKeyChangesTheRequirementsThatNameItAndNoOthers uses the real parser and real files: cached findings are
// keyed by a requirement's ID, so IDs must change exactly when the requirement does.
func TestAChangedKeyChangesTheRequirementsThatNameItAndNoOthers(t *testing.T) {
	directory := t.TempDir()
	keyed := func(key string) []byte {
		return fmt.Appendf(nil, `{"default": [{"type": "sigstoreSigned", "keyPath": %q}]}`,
			filepath.Join(directory, key))
	}
	for _, name := range []string{"a.pub", "b.pub"} {
		writeFile(t, filepath.Join(directory, name), publicKey(t))
	}
	writeFile(t, filepath.Join(directory, "prod.json"), keyed("a.pub"))
	writeFile(t, filepath.Join(directory, "same.json"), keyed("a.pub"))
	writeFile(t, filepath.Join(directory, "dev.json"), keyed("b.pub"))

	news := make(chan struct{}, 100)
	documents := files.Open(files.Config{
		System: filepath.Join(directory, "dev.json"), Directory: directory,
		Parse:  signature.NewParser(signature.Kinds(nil)).Parse,
		Notify: func(files.Status) { news <- struct{}{} },
	})
	before := documents.Current()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- documents.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	requirement := func(set *policy.Set, namespace string) *policy.Requirement {
		document, err := set.For(namespace)
		if err != nil {
			t.Fatal(err)
		}
		return document.Default[0]
	}
	writeFile(t, filepath.Join(directory, "new"), publicKey(t))
	if err := os.Rename(filepath.Join(directory, "new"), filepath.Join(directory, "a.pub")); err != nil {
		t.Fatal(err)
	}
	for requirement(documents.Current(), "prod").ID == requirement(before, "prod").ID {
		<-news
	}
	after := documents.Current()
	if requirement(after, "prod") != requirement(after, "same") {
		t.Error("two documents that ask for the same have different requirements")
	}
	if requirement(after, "dev") != requirement(before, "dev") {
		t.Error("the requirement that names the other key is another one")
	}
	if problems := documents.Status().Problems; len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
}
