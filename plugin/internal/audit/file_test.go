package audit_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/internal/audit"
)

// records returns the content of the files in a directory, by name.
func records(t *testing.T, directory string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, entry := range entries {
		raw, err := os.ReadFile(filepath.Join(directory, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[entry.Name()] = string(raw)
	}
	return found
}

// expect writes records to a file, and compares the files in its directory.
func expect(t *testing.T, path string, file *audit.File, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, records(t, filepath.Dir(path))); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if err := file.Problem(); err != nil {
		t.Errorf("problem: %v", err)
	}
}

func write(t *testing.T, file *audit.File, records ...string) {
	t.Helper()
	for _, record := range records {
		if n, err := file.Write([]byte(record + "\n")); err != nil || n != len(record)+1 {
			t.Fatalf("writing %s: %d, %v", record, n, err)
		}
	}
}

func open(t *testing.T, path string, maxSize int64, maxFiles int) *audit.File {
	t.Helper()
	file := audit.NewFile(path, maxSize, maxFiles)
	if err := file.Reopen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func TestAFileIsRotatedBeforeItExceedsItsSize(t *testing.T) {
	for name, test := range map[string]struct {
		maxFiles int
		want     map[string]string
	}{
		"two rotated files": {2, map[string]string{"audit.log": "e\n", "audit.log.1": "c\nd\n", "audit.log.2": "a\nb\n"}},
		"one rotated file":  {1, map[string]string{"audit.log": "e\n", "audit.log.1": "c\nd\n"}},
		"none":              {0, map[string]string{"audit.log": "e\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "logs", "audit.log")
			file := open(t, path, 4, test.maxFiles)
			write(t, file, "a", "b", "c", "d", "e")
			expect(t, path, file, test.want)
			var want []string
			for number := test.maxFiles; number > 0; number-- {
				want = append(want, fmt.Sprintf("%s.%d", path, number))
			}
			if got := audit.RotatedFiles(path, 3); !slices.Equal(got, want) {
				t.Errorf("the rotated files are %q, want %q", got, want)
			}
		})
	}
}

func TestARecordLargerThanAFileIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	file := open(t, path, 4, 1)
	write(t, file, "large record", "b")
	expect(t, path, file, map[string]string{"audit.log": "b\n", "audit.log.1": "large record\n"})
}

func TestAFileIsContinued(t *testing.T) {
	for name, test := range map[string]struct{ before, want string }{
		"an empty file":                  {"", "b\n"},
		"a file of complete records":     {"a\n", "a\nb\n"},
		"a file with a record cut short": {"a\n{\"ti", "a\n{\"ti\nb\n"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			if err := os.WriteFile(path, []byte(test.before), 0o644); err != nil {
				t.Fatal(err)
			}
			file := open(t, path, 100, 1)
			write(t, file, "b")
			expect(t, path, file, map[string]string{"audit.log": test.want})
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
			}
		})
	}
}

func TestReopenContinuesInTheFileThatHasThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	file := open(t, path, 100, 1)
	write(t, file, "a")
	if err := os.Rename(path, path+"-old"); err != nil {
		t.Fatal(err)
	}
	write(t, file, "b")
	if err := file.Reopen(); err != nil {
		t.Fatal(err)
	}
	write(t, file, "c")
	expect(t, path, file, map[string]string{"audit.log": "c\n", "audit.log-old": "a\nb\n"})
}

func TestARemovedFileIsCreatedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	file := open(t, path, 100, 1)
	write(t, file, "a")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, file, "b")
	expect(t, path, file, map[string]string{"audit.log": "b\n"})
}

func TestATruncatedFileIsContinued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	file := open(t, path, 4, 1)
	write(t, file, "a", "b")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, file, "c", "d")
	expect(t, path, file, map[string]string{"audit.log": "c\nd\n"})
}

// TestAFullDiskLosesRecordsAndCutsNone limits the size of files of this process, as a full disk does: the kernel writes
// a part of the record.
func TestAFullDiskLosesRecordsAndCutsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	file := open(t, path, 1<<20, 1)
	write(t, file, "first")
	before := syscall.Rlimit{}
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	set := func(limit syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	defer set(before)
	set(syscall.Rlimit{Cur: 100, Max: before.Max})
	_, err := file.Write([]byte(strings.Repeat("x", 200) + "\n"))
	problem := file.Problem()
	set(before)
	if !errors.Is(err, syscall.EFBIG) || !errors.Is(problem, syscall.EFBIG) {
		t.Errorf("writing gave %v, and the problem is %v", err, problem)
	}
	write(t, file, "second")
	expect(t, path, file, map[string]string{"audit.log": "first\nsecond\n"})
}

func TestAFileThatCannotBeOpenedIsAProblemAndTriedAgain(t *testing.T) {
	for name, test := range map[string]struct {
		obstruct func(path string) error
		want     string
	}{
		"a directory":           {func(path string) error { return os.Mkdir(path, 0o700) }, "is a directory"},
		"a named pipe":          {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "not a regular file"},
		"a link to a directory": {func(path string) error { return os.Symlink("/", path) }, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			if err := test.obstruct(path); err != nil {
				t.Fatal(err)
			}
			file := audit.NewFile(path, 100, 1)
			if file.Problem() != nil {
				t.Errorf("before it is opened it has the problem %v", file.Problem())
			}
			for _, err := range []error{file.Reopen(), file.Problem()} {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
			}
			if _, err := file.Write([]byte("a\n")); err == nil {
				t.Error("a record was written")
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			write(t, file, "b")
			expect(t, path, file, map[string]string{"audit.log": "b\n"})
			if err := file.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAFileThatCannotBeRotatedIsAProblem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.MkdirAll(filepath.Join(path+".1", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := open(t, path, 4, 1)
	write(t, file, "a", "b")
	if _, err := file.Write([]byte("c\n")); err == nil || file.Problem() == nil {
		t.Errorf("got %v, and the problem is %v", err, file.Problem())
	}
	raw, err := os.ReadFile(path)
	if err != nil || !slices.Equal(raw, []byte("a\nb\n")) {
		t.Errorf("the file has %q (%v)", raw, err)
	}
}
