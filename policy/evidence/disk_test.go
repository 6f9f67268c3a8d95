package evidence_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// unusableDirectory returns a path at which no directory can be created.
func unusableDirectory(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "x")
	return filepath.Join(path, "evidence")
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

func TestWithoutADirectoryEvidenceIsFetchedIntoMemory(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1))
	keeper, named := open(t, evidence.Config{Directory: unusableDirectory(t)}), r.named(t, "app")
	got := fetched(t, keeper, named, m)
	if got.State != policy.Found || len(filesIn(t, got.Directory)) != 1 {
		t.Fatalf("%+v", got)
	}
	if again := fetched(t, keeper, named, m); again != got {
		t.Errorf("fetched again: %+v", again)
	}
	if err := keeper.StoreProblem(); err == nil || keeper.StoredBytes() == 0 {
		t.Errorf("%d bytes are stored, with the problem %v", keeper.StoredBytes(), err)
	}
}

func TestAFullDiskChangesNoVerdict(t *testing.T) {
	r := newRegistry(t)
	large := signature{payload: strings.Repeat("x", 200<<10), mediaType: simpleSigning, signed: "s"}
	m, tiny := manifestOf("image"), manifestOf("tiny")
	r.sign(t, "app", m, large)
	r.sign(t, "app", tiny, signed(1))
	config := evidence.Config{Directory: smallDisk(t)}
	keeper, named := open(t, config), r.named(t, "app")
	got := fetched(t, keeper, named, m)
	if got.State != policy.Found || filesIn(t, got.Directory)[0] != string(large.file(t)) {
		t.Fatalf("%+v", got)
	}
	if strings.HasPrefix(got.Directory, config.Directory) {
		t.Error("it was stored although there is no space for it")
	}
	if got := fetched(t, keeper, named, tiny); !strings.HasPrefix(got.Directory, config.Directory) {
		t.Errorf("with room again: %+v", got)
	}
}

func TestAFullDiskLosesNoBundle(t *testing.T) {
	eachWay(t, func(p pusher) {
		t, m := p.t, manifestOf("image")
		large := append(statement(signs, 1), strings.Repeat(" ", 200<<10)...)
		p.list(m, p.attach(m, referrer{content: large, predicate: signs}))
		config := evidence.Config{Directory: smallDisk(t)}
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

func TestAReadOnlyDiskChangesNoVerdict(t *testing.T) {
	r := newRegistry(t)
	old, fresh := manifestOf("old"), manifestOf("fresh")
	r.sign(t, "app", old, signed(1))
	r.sign(t, "app", fresh, signed(2))
	config := evidence.Config{Directory: smallDisk(t)}
	keeper, named := open(t, config), r.named(t, "app")
	fetched(t, keeper, named, old)
	if err := unix.Mount("", config.Directory, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if got := lookup(keeper, named, old); got.State != policy.Found {
		t.Errorf("stored before: %+v", got)
	}
	if got := fetched(t, keeper, named, fresh); got.State != policy.Found || len(filesIn(t, got.Directory)) != 1 {
		t.Errorf("fetched now: %+v", got)
	}
	r.sign(t, "app", old, signed(1), signed(3))
	if got := fetched(t, keeper, named, old); got.Signatures != 2 || len(filesIn(t, got.Directory)) != 2 {
		t.Errorf("signed again: %+v", got)
	}
}
