package bounded_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/policy/internal/bounded"
)

func TestOnlyRegularFilesOfBoundedSizeAreRead(t *testing.T) {
	directory := t.TempDir()
	file, pipe := filepath.Join(directory, "file"), filepath.Join(directory, "pipe")
	if err := os.WriteFile(file, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		path  string
		limit int64
		want  string
	}{
		"of the limit":       {file, 5, ""},
		"of more":            {file, 4, "is larger than 4 bytes"},
		"a pipe":             {pipe, 5, "is not a regular file"},
		"a directory":        {directory, 5, "is not a regular file"},
		"one that is absent": {filepath.Join(directory, "absent"), 5, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := bounded.ReadFile(test.path, test.limit)
			if test.want == "" && (err != nil || string(got) != "12345") {
				t.Errorf("%q, %v", got, err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, not %q", err, test.want)
			}
		})
	}
}
