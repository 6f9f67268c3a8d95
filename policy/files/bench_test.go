package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/files"
)

// BenchmarkLookAt10000Documents measures a check after an event, or once a minute, without changes.
func BenchmarkLookAt10000Documents(b *testing.B) {
	directory := b.TempDir()
	contents := `{"is": "` + strings.Repeat("x", 8<<10) + `"}`
	for i := range 10_000 {
		path := filepath.Join(directory, fmt.Sprintf("team-%05d.json", i))
		if err := os.WriteFile(path, []byte(contents), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	var p parser
	look := files.CheckAll(files.Config{System: directory + "/team-00000.json", Directory: directory, Parse: p.parse})
	look()
	parsed := p.parsed.Load()
	b.ReportAllocs()
	for b.Loop() {
		look()
	}
	if more := p.parsed.Load() - parsed; more > 0 {
		b.Errorf("%d documents were parsed, though nothing changed", more)
	}
}
