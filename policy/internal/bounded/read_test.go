package bounded_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign/countersign/policy/internal/bounded"
)

const limit = 10

// files are kinds of files, and the error of reading each, if any.
var files = map[string]struct {
	make           func(path string) error
	read, noFollow string
}{
	"empty":          {make: write(0)},
	"short":          {make: write(5)},
	"just so long":   {make: write(limit)},
	"too long":       {write(limit + 1), "it has 11 bytes; the maximum is 10", "it has 11 bytes; the maximum is 10"},
	"missing":        {func(string) error { return nil }, "no such file", "no such file"},
	"a directory":    {func(path string) error { return os.Mkdir(path, 0o700) }, "it is a directory", "it is a directory"},
	"a named pipe":   {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "a named pipe", "a named pipe"},
	"a socket":       {listen, "it is a socket", "it is a socket"},
	"a link":         {link(write(5)), "", "it is a symbolic link, not a regular file"},
	"a link to more": {link(write(limit + 1)), "it has 11 bytes", "it is a symbolic link"},
	"a link to a device": {
		func(path string) error { return os.Symlink("/dev/zero", path) }, "it is a device", "it is a symbolic link",
	},
	"a link to nothing": {
		func(path string) error { return os.Symlink("nothing", path) }, "no such file", "it is a symbolic link",
	},
}

func write(size int) func(string) error {
	return func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o600) }
}

func link(to func(string) error) func(string) error {
	return func(path string) error {
		if err := to(path + ".target"); err != nil {
			return err
		}
		return os.Symlink(path+".target", path)
	}
}

func listen(path string) error {
	socket, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	socket.(*net.UnixListener).SetUnlinkOnClose(false)
	return socket.Close()
}

func TestOnlyShortRegularFilesAreRead(t *testing.T) {
	for name, test := range files {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if err := test.make(path); err != nil {
				t.Fatal(err)
			}
			contents, info, err := bounded.Read(path, limit)
			fails(t, path, err, test.read)
			if err == nil && info.Size() != int64(len(contents)) {
				t.Errorf("read %d bytes of a file of %d", len(contents), info.Size())
			}
			_, err = bounded.Stat(path, limit)
			fails(t, path, err, test.read)
			contents, err = bounded.ReadNoFollow(path, limit)
			fails(t, path, err, test.noFollow)
			if strings.Trim(string(contents), "x") != "" {
				t.Errorf("read %q", contents)
			}
		})
	}
}

func fails(t *testing.T, path string, err error, want string) {
	t.Helper()
	switch {
	case (err == nil) != (want == ""):
		t.Errorf("error %v, want %q", err, want)
	case err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), path)):
		t.Errorf("error %v, want %q and no path", err, want)
	}
}

// TestAFileThatGrowsIsNotRead uses a file whose size is 0 according to stat, although it has contents.
func TestAFileThatGrowsIsNotRead(t *testing.T) {
	const path = "/proc/self/status"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs Linux: %v", err)
	}
	_, _, err := bounded.Read(path, limit)
	fails(t, path, err, "it grew while it was being read")
	_, err = bounded.ReadNoFollow(path, limit)
	fails(t, path, err, "it grew while it was being read")
}

func TestAMissingFileIsReported(t *testing.T) {
	_, _, err := bounded.Read(filepath.Join(t.TempDir(), "missing"), limit)
	if err != fs.ErrNotExist && !os.IsNotExist(err) { //nolint:errorlint // Both must hold.
		t.Errorf("error %v", err)
	}
}
