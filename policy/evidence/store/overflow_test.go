package store_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/evidence/store/storetest"
)

// unusableDirectory returns a path at which no directory can be created.
func unusableDirectory(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "x")
	return filepath.Join(path, "evidence")
}

// openLogging opens a store that logs into a text.
func openLogging(t *testing.T, directory string) (s *store.Store, log *strings.Builder) {
	t.Helper()
	log = &strings.Builder{}
	s, err := store.Open(store.Config{
		Directory: directory, MaxSize: 1 << 30, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, log
}

// large returns one file that does not fit on a small disk.
func large(kind format.Kind) store.Content {
	return store.Content{Files: format.Files(kind, []byte(strings.Repeat("x", 200<<10)))}
}

func TestWithoutADirectoryEvidenceIsStoredInMemory(t *testing.T) {
	s, log := openLogging(t, unusableDirectory(t))
	got := put(t, s, keyOf("image"), store.Content{Files: generation(1)}).Evidence()
	if files := filesIn(t, got); got.State != policy.Found || len(files) != len(generation(1)) {
		t.Fatalf("%+v", got)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "not a directory") {
		t.Errorf("the log is %q", log)
	}
	if s.HasDisk() {
		t.Error("it claims to have a disk")
	}
	if again := s.Load(keyOf("image")); again == nil || again.Evidence() != got {
		t.Errorf("it is loaded as %+v", again)
	}
	s.Close()
	if exists(got.Directory) {
		t.Error("it still exists after the end")
	}
	if _, _, err := s.Put(keyOf("image"), store.Content{Files: generation(1)}, true); err == nil {
		t.Error("a closed store stores in memory")
	}
}

func TestADirectoryInUseIsNotShared(t *testing.T) {
	directory := t.TempDir()
	first := storetest.Open(t, directory)
	second, log := openLogging(t, directory)
	set := put(t, second, keyOf("image"), store.Content{Files: generation(1)})
	if strings.HasPrefix(set.Evidence().Directory, directory) {
		t.Errorf("the second wrote into %s", set.Evidence().Directory)
	}
	if !strings.Contains(log.String(), "another process uses it") {
		t.Errorf("the log is %q", log)
	}
	first.Close()
	set = put(t, storetest.Open(t, directory), keyOf("image"), store.Content{Files: generation(1)})
	if !strings.HasPrefix(set.Evidence().Directory, directory) {
		t.Errorf("after the first was closed, the third writes into %s", set.Evidence().Directory)
	}
}

// smallDisk mounts a file system of 64 KiB.
func smallDisk(t testing.TB) string {
	t.Helper()
	directory := t.TempDir()
	err := unix.Mount("tmpfs", directory, "tmpfs", 0, "size=64k,mode=0700")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("mounting a small file system: %v", err)
	}
	if err != nil {
		t.Skipf("NOT TESTED: a full disk, because no file system can be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(directory, unix.MNT_DETACH) })
	return directory
}

func TestWithAFullDiskEvidenceIsStoredInMemory(t *testing.T) {
	for name, kind := range map[string]format.Kind{"a signature": format.KindSignature, "a bundle": format.KindBundle} {
		t.Run(name, func(t *testing.T) {
			directory := smallDisk(t)
			s, log := openLogging(t, directory)
			want := large(kind)
			got := put(t, s, keyOf("image"), want).Evidence()
			if files := filesIn(t, got); len(files) != 1 || string(files[0].Bytes) != string(want.Files[0].Bytes) {
				t.Fatalf("%+v", got)
			}
			if strings.HasPrefix(got.Directory, directory) {
				t.Error("it was stored although there is no space for it")
			}
			if strings.Count(log.String(), "no space left on device") != 1 {
				t.Errorf("the log is %q", log)
			}
			tiny := put(t, s, keyOf("tiny"), store.Content{Files: generation(1)}).Evidence()
			if !strings.HasPrefix(tiny.Directory, directory) {
				t.Errorf("with room again: %+v", tiny)
			}
			if !strings.Contains(log.String(), "stored on disk again") {
				t.Errorf("the log is %q", log)
			}
			put(t, s, keyOf("image"), store.Content{Files: generation(1)})
			if exists(got.Directory) && s.Load(keyOf("image")).Evidence().Directory == got.Directory {
				t.Error("it is loaded from memory after it was stored on disk")
			}
		})
	}
}

func TestWithAReadOnlyDiskEvidenceIsStoredInMemory(t *testing.T) {
	directory := smallDisk(t)
	s := storetest.Open(t, directory)
	put(t, s, keyOf("old"), store.Content{Files: generation(1)})
	if err := unix.Mount("", directory, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if got := s.Load(keyOf("old")); got == nil || !got.Equal(store.Content{Files: generation(1)}) {
		t.Error("what was stored before cannot be read")
	}
	for _, image := range []string{"new", "old"} {
		put(t, s, keyOf(image), store.Content{Files: generation(2)})
		if got := s.Load(keyOf(image)); got == nil || !got.Equal(store.Content{Files: generation(2)}) {
			t.Errorf("what is stored now of %s cannot be read", image)
		}
	}
	if _, _, err := s.Import(keyOf("new"), store.Content{Files: generation(1)}); err == nil {
		t.Error("an import was stored on a read-only disk")
	}
}
