package socket_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign/countersign/plugin/internal/socket"
)

func listen(t *testing.T, path string) net.Listener {
	t.Helper()
	listener, err := socket.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// abandon leaves a socket without a listener, as a daemon does that is killed.
func abandon(t *testing.T, path string) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
}

func TestOnlyRootMayUseTheSocket(t *testing.T) {
	// The mode must not depend on the umask.
	defer syscall.Umask(syscall.Umask(0))
	directory := filepath.Join(t.TempDir(), "run", "countersign")
	path := filepath.Join(directory, "countersign.sock")
	listen(t, path)
	for name, want := range map[string]fs.FileMode{path: fs.ModeSocket | 0o600, directory: fs.ModeDir | 0o700} {
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", name, info.Mode(), want)
		}
	}
}

func TestAnAbandonedSocketIsReplacedAndNothingElse(t *testing.T) {
	for name, test := range map[string]struct {
		leave func(t *testing.T, path string)
		want  string // in the error; empty: no error
	}{
		"no file":                          {func(*testing.T, string) {}, ""},
		"the socket of a daemon that died": {abandon, ""},
		"another daemon uses it": {func(t *testing.T, path string) {
			t.Helper()
			listen(t, path)
		}, "another countersign"},
		"another program uses it": {func(t *testing.T, path string) {
			t.Helper()
			listener, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
		}, "another countersign"},
		"a file": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a socket"},
		"a link to a socket": {func(t *testing.T, path string) {
			t.Helper()
			abandon(t, path+".target")
			if err := os.Symlink(path+".target", path); err != nil {
				t.Fatal(err)
			}
		}, "not a socket"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			test.leave(t, path)
			before, _ := os.Lstat(path)
			listener, err := socket.Listen(t.Context(), path)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				listener.Close()
				if _, err := os.Lstat(path); !os.IsNotExist(err) {
					t.Errorf("the socket is still there after it was closed: %v", err)
				}
				listen(t, path)
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want an error with %q and the path", err, test.want)
			}
			if after, _ := os.Lstat(path); !os.SameFile(before, after) {
				t.Error("the previous file was removed")
			}
		})
	}
}

func TestADirectoryThatCannotBeCreated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Listen(t.Context(), filepath.Join(file, "s")); err == nil {
		t.Error("listens below a file")
	}
}
