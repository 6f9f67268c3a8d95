package evidence_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// nowhere returns a path at which no directory can be made.
func nowhere(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "x")
	return filepath.Join(path, "evidence")
}

func TestWithoutADirectoryEvidenceIsKeptInMemory(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1))
	var log strings.Builder
	config := evidence.Config{Directory: nowhere(t), Logger: slog.New(slog.NewTextHandler(&log, nil))}
	keeper := open(t, config)
	named := r.named(t, "app")
	got := fetched(t, keeper, named, m)
	if got.State != policy.Found || len(filesIn(t, got.Directory)) != 1 {
		t.Fatalf("%+v", got)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "not a directory") {
		t.Errorf("it was said so: %q", log.String())
	}
	if again := fetched(t, keeper, named, m); again != got {
		t.Errorf("asked again: %+v", again)
	}
	keeper.Close()
	if exists(got.Directory) {
		t.Error("it is still there after the end")
	}
}

func TestADirectoryInUseIsNotShared(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1))
	config, named := evidence.Config{Directory: t.TempDir()}, r.named(t, "app")
	first := open(t, config)
	var log strings.Builder
	config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	second := open(t, config)
	if got := fetched(t, second, named, m); strings.HasPrefix(got.Directory, config.Directory) {
		t.Errorf("the second wrote into %s", got.Directory)
	}
	if !strings.Contains(log.String(), "another process works in it") {
		t.Errorf("it was said so: %q", log.String())
	}
	first.Close()
	if got := fetched(t, open(t, config), named, m); !strings.HasPrefix(got.Directory, config.Directory) {
		t.Errorf("after the first has ended the third writes into %s", got.Directory)
	}
}

// small mounts a file system of 64 KiB.
func small(t testing.TB) string {
	t.Helper()
	directory := t.TempDir()
	err := unix.Mount("tmpfs", directory, "tmpfs", 0, "size=64k,mode=0700")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("mounting a small file system: %v", err)
	}
	if err != nil {
		t.Skipf("NOT TESTED: a full disk, for no file system can be mounted: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(directory, unix.MNT_DETACH) })
	return directory
}

func TestAFullDiskCostsNoVerdict(t *testing.T) {
	r := newRegistry(t)
	large := signature{payload: strings.Repeat("x", 200<<10), mediaType: simpleSigning, signed: "s"}
	m, tiny := manifestOf("image"), manifestOf("tiny")
	r.sign(t, "app", m, large)
	r.sign(t, "app", tiny, signed(1))
	var log strings.Builder
	config := evidence.Config{Directory: small(t), Logger: slog.New(slog.NewTextHandler(&log, nil))}
	keeper, named := open(t, config), r.named(t, "app")
	got := fetched(t, keeper, named, m)
	if got.State != policy.Found || filesIn(t, got.Directory)[0] != string(large.file(t)) {
		t.Fatalf("%+v", got)
	}
	if strings.HasPrefix(got.Directory, config.Directory) {
		t.Error("it was kept where there is no room for it")
	}
	if strings.Count(log.String(), "no space left on device") != 1 {
		t.Errorf("it was said so: %q", log.String())
	}
	if got := fetched(t, keeper, named, tiny); !strings.HasPrefix(got.Directory, config.Directory) {
		t.Errorf("where there is room again: %+v", got)
	}
	if !strings.Contains(log.String(), "stored on disk again") {
		t.Errorf("and it was said so: %q", log.String())
	}
}

func TestAFullDiskCostsNoBundle(t *testing.T) {
	eachWay(t, func(p pusher) {
		t, m := p.t, manifestOf("image")
		large := append(statement(signs, 1), strings.Repeat(" ", 200<<10)...)
		p.list(m, p.attach(m, referrer{content: large, predicate: signs}))
		config := evidence.Config{Directory: small(t)}
		keeper := open(t, config)
		got := fetched(t, keeper, p.named(t, "app"), m)
		if got.State != policy.Found || strings.HasPrefix(got.Directory, config.Directory) {
			t.Fatalf("%+v", got)
		}
		if bundles := bundlesIn(t, got); len(bundles) != 1 || bundles[0] != string(large) {
			t.Errorf("it has %d bundles", len(bundles))
		}
	})
}

func TestAReadOnlyDiskCostsNoVerdict(t *testing.T) {
	r := newRegistry(t)
	old, fresh := manifestOf("old"), manifestOf("fresh")
	r.sign(t, "app", old, signed(1))
	r.sign(t, "app", fresh, signed(2))
	config := evidence.Config{Directory: small(t)}
	keeper, named := open(t, config), r.named(t, "app")
	fetched(t, keeper, named, old)
	if err := unix.Mount("", config.Directory, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if got := kept(keeper, named, old); got.State != policy.Found {
		t.Errorf("kept before: %+v", got)
	}
	if got := fetched(t, keeper, named, fresh); got.State != policy.Found || len(filesIn(t, got.Directory)) != 1 {
		t.Errorf("fetched now: %+v", got)
	}
	r.sign(t, "app", old, signed(1), signed(3))
	if got := fetched(t, keeper, named, old); got.Signatures != 2 || len(filesIn(t, got.Directory)) != 2 {
		t.Errorf("signed again: %+v", got)
	}
}
