package bounded_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/policy/internal/bounded"
)

// FuzzRead returns all of a file, or an error if the file is larger than the limit.
func FuzzRead(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add([]byte("x"), uint8(0))
	f.Add([]byte("just so long"), uint8(12))
	path := filepath.Join(f.TempDir(), "file")
	reads := map[string]func(string, int64) ([]byte, error){
		"Read": func(path string, limit int64) ([]byte, error) {
			contents, _, err := bounded.Read(path, limit)
			return contents, err
		},
		"ReadNoFollow": bounded.ReadNoFollow,
		"ReadFile":     bounded.ReadFile,
	}
	f.Fuzz(func(t *testing.T, contents []byte, limit uint8) {
		if err := os.WriteFile(path, contents, 0o600); err != nil {
			t.Fatal(err)
		}
		for name, read := range reads {
			got, err := read(path, int64(limit))
			if fits := len(contents) <= int(limit); (err == nil) != fits || fits && !bytes.Equal(got, contents) {
				t.Errorf("%s of %d bytes with limit %d: %d bytes, %v", name, len(contents), limit, len(got), err)
			}
		}
	})
}
