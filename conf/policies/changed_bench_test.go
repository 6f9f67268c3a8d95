package policies_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/signature"
)

// BenchmarkChangedDocuments changes all documents of a node at once, as countersign-agent does, and waits until all are
// in force. Each has ten scopes with keys that no other document has. The time for a document must not depend on their
// number. It includes the 100 ms for which package files waits until no more documents change.
func BenchmarkChangedDocuments(b *testing.B) {
	inline := func(b *testing.B, _ string) string {
		b.Helper()
		return fmt.Sprintf(`"keyData": %q`, base64.StdEncoding.EncodeToString(publicKey(b)))
	}
	missing := func(_ *testing.B, namespace string) string {
		return fmt.Sprintf(`"keyPath": "/nonexistent/%s.pub"`, namespace)
	}
	for _, count := range []int{1250, 5000} {
		b.Run(fmt.Sprintf("%d", count), func(b *testing.B) { newChanging(b, count, inline).run(b) })
		b.Run(fmt.Sprintf("%d_without_their_keys", count), func(b *testing.B) { newChanging(b, count, missing).run(b) })
	}
}

// changing is a node whose documents are replaced, all at once.
type changing struct {
	directory, staged string
	// keys are the members of the documents' requirements that name their keys, by namespace.
	keys map[string]string
	// news has an element after something changed.
	news      chan struct{}
	documents *files.Documents
}

func newChanging(b *testing.B, count int, key func(b *testing.B, namespace string) string) *changing {
	b.Helper()
	root := b.TempDir()
	c := &changing{
		directory: filepath.Join(root, "policies"), staged: filepath.Join(root, "staged"), keys: make(map[string]string),
		news: make(chan struct{}, 1),
	}
	for _, directory := range []string{c.directory, c.staged} {
		if err := os.Mkdir(directory, 0o700); err != nil {
			b.Fatal(err)
		}
	}
	for i := range count {
		namespace := fmt.Sprintf("team-%05d", i)
		c.keys[namespace] = key(b, namespace)
	}
	system := filepath.Join(root, "system")
	writeFile(b, system, []byte(`{"default": [{"type": "reject"}]}`))
	c.stage(b, 0)
	c.replace(b)
	c.documents = files.Open(files.Config{
		System: system, Directory: c.directory, Parse: signature.NewParser(signature.Kinds(nil)).Parse,
		Notify: func(files.Status) {
			select {
			case c.news <- struct{}{}:
			default:
			}
		},
	})
	return c
}

func (c *changing) run(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.documents.Run(ctx) }()
	var all time.Duration
	generation := 0
	for b.Loop() {
		b.StopTimer()
		generation++
		c.stage(b, generation)
		b.StartTimer()
		began := time.Now()
		c.replace(b)
		for !c.inForce(generation) {
			<-c.news
		}
		all += time.Since(began)
	}
	b.ReportMetric(float64(all.Microseconds())/float64(generation*len(c.keys)), "µs/document")
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}

// stage writes the next version of all documents to another directory.
func (c *changing) stage(b *testing.B, generation int) {
	b.Helper()
	for namespace, key := range c.keys {
		var scopes []string
		for i := range 10 {
			scopes = append(scopes, fmt.Sprintf(`"registry.example/%s/app-%d": [{"type": "sigstoreSigned", %s}]`,
				namespace, i, key))
		}
		raw := fmt.Appendf(nil, `{"default": [{"type": "reject"}], "transports": {"docker": {%s, %q: [{"type": "reject"}]}}}`,
			strings.Join(scopes, ", "), scopeOf(generation))
		writeFile(b, filepath.Join(c.staged, namespace+".json"), raw)
	}
}

// replace puts the documents in place.
func (c *changing) replace(b *testing.B) {
	b.Helper()
	for namespace := range c.keys {
		name := namespace + ".json"
		if err := os.Rename(filepath.Join(c.staged, name), filepath.Join(c.directory, name)); err != nil {
			b.Fatal(err)
		}
	}
}

// inForce reports whether all documents have been replaced.
func (c *changing) inForce(generation int) bool {
	set := c.documents.Current()
	for namespace := range c.keys {
		document, err := set.For(namespace)
		if err != nil || document.Scopes[scopeOf(generation)] == nil {
			return false
		}
	}
	return true
}

// scopeOf returns a scope that only one version of the documents has.
func scopeOf(generation int) string { return fmt.Sprintf("generation.example/%d", generation) }
