package evidence_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

const (
	writerVariable  = "EVIDENCE_TEST_WRITER"
	keeperVariable  = "EVIDENCE_TEST_KEEPER"
	crashRepository = "registry.example/app"
)

// The test binary is also the program that is killed.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(writerVariable) != "":
		writeForEver(os.Getenv(writerVariable))
	case os.Getenv(keeperVariable) != "":
		keepInMemory(os.Getenv(keeperVariable))
	}
	elsewhere.start()
	os.Exit(m.Run())
}

// generation returns the n-th set of signatures: each has another number of files, all of them marked n.
func generation(n int) [][]byte {
	files := make([][]byte, n%5+1)
	for i := range files {
		files[i] = []byte(fmt.Sprintf("%d %d %s", n, i, strings.Repeat("x", n%4000)))
	}
	return files
}

// writeForEver replaces one set of signatures by the next until it is killed.
func writeForEver(directory string) {
	for n := 1; ; n++ {
		if err := evidence.Write(directory, manifestOf("image"), crashRepository, generation(n)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(n)
	}
}

func TestAKilledWriterLeavesTheOldSetOrTheNewOne(t *testing.T) {
	directory, m := t.TempDir(), manifestOf("image")
	named := parse(t, crashRepository+":v1")
	read := evidence.Read(directory)
	last := 0
	for range 60 {
		n := killWriter(t, directory)
		got := read(manifests(m), named)[0]
		if got.State == policy.Unknown && last+n == 0 {
			continue
		}
		if got.State != policy.Found {
			t.Fatalf("after %d sets: %+v", n, got)
		}
		files := filesIn(t, got.Directory)
		var written int
		if _, err := fmt.Sscan(files[0], &written); err != nil {
			t.Fatal(err)
		}
		if n > 0 && written != n && written != n+1 {
			t.Errorf("set %d was written whole, and there is %d", n, written)
		}
		for i, want := range generation(written) {
			if len(files) != written%5+1 || files[i] != string(want) {
				t.Fatalf("set %d is not whole", written)
			}
		}
		last = written
	}
	evidence.Sweep(directory)
	left, err := filepath.Glob(filepath.Join(evidence.Location(directory, m, crashRepository), "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("what was left behind has not been removed: %v, %v", left, err)
	}
	if got := read(manifests(m), named)[0]; got.State != policy.Found {
		t.Errorf("after that: %+v", got)
	}
}

// killWriter starts a writer, kills it at some moment, and returns the last set that it said was written.
func killWriter(t *testing.T, directory string) int {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), writerVariable+"="+directory)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	n, sets := 0, rand.IntN(12)
	for n < sets && lines.Scan() {
		if _, err := fmt.Sscan(lines.Text(), &n); err != nil {
			t.Fatalf("the writer says %q", lines.Text())
		}
	}
	// Some way into the next set.
	for begin := time.Now(); time.Since(begin) < rand.N(2*time.Millisecond); {
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		if _, err := fmt.Sscan(lines.Text(), &n); err != nil {
			t.Fatalf("the writer says %q", lines.Text())
		}
	}
	_ = command.Wait()
	return n
}

// keepInMemory runs a Keeper that has no disk until it is killed.
func keepInMemory(nowhere string) {
	keeper, err := evidence.OpenLooking(evidence.Config{Directory: nowhere, MaxSize: 1 << 20},
		(&world{found: found("a"), start: time.Now()}).look)
	if err != nil {
		os.Exit(1)
	}
	named, err := policy.Normalize(crashRepository)
	if err != nil {
		os.Exit(1)
	}
	m := manifestOf("image")
	for kept(keeper, named, m).State != policy.Found {
	}
	fmt.Println(kept(keeper, named, m).Directory)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestWhatAKilledProcessKeptInMemoryIsRemovedAtTheNextStart(t *testing.T) {
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), keeperVariable+"="+nowhere(t))
	if _, err := command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("it kept nothing")
	}
	directory := lines.Text()
	open(t, evidence.Config{}).Close()
	if !exists(directory) {
		t.Error("it was removed while its owner lives")
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if !exists(directory) {
		t.Fatal("it went before its time")
	}
	open(t, evidence.Config{}).Close()
	if exists(directory) {
		t.Error("it is still there")
	}
}

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
func small(t *testing.T) string {
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
	if !strings.Contains(log.String(), "kept on disk again") {
		t.Errorf("and it was said so: %q", log.String())
	}
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
