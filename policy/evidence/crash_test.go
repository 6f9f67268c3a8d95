package evidence_test

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	if directory := os.Getenv(writerVariable); directory != "" {
		writeForEver(directory)
		return
	}
	if nowhere := os.Getenv(keeperVariable); nowhere != "" {
		keepInMemory(nowhere)
		return
	}
	elsewhere.start()
	// The parallel tests wait for timeouts and need no processor of their own.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	// Every set is synced: on a disk that others keep busy that takes seconds, and tells nothing.
	if unix.Access("/dev/shm", unix.W_OK) == nil {
		_ = os.Setenv("TMPDIR", "/dev/shm")
	}
	m.Run()
}

// generation returns the n-th set of signatures: each has another number of files, all of them marked n.
func generation(n int) [][]byte {
	files := make([][]byte, n%5+1)
	for i := range files {
		files[i] = []byte(fmt.Sprintf("%d %d %s", n, i, strings.Repeat("x", n%4000)))
	}
	return files
}

// writeForEver replaces one set of signatures and bundles by the next until it is killed.
func writeForEver(directory string) {
	for n := 1; ; n++ {
		err := evidence.WriteBoth(directory, manifestOf("image"), crashRepository, generation(n), generation(n))
		if err != nil {
			fmt.Fprintln(os.Stdout, err)
			return
		}
		fmt.Fprintln(os.Stdout, n)
	}
}

func TestAKilledWriterLeavesTheOldSetOrTheNewOne(t *testing.T) {
	directory, m := t.TempDir(), manifestOf("image")
	named := parse(t, crashRepository+":v1")
	read := evidence.Read(directory)
	for range 60 {
		n := killWriter(t, directory)
		// Killed before it wrote anything, it may leave nothing.
		if got := read(manifests(m), named)[0]; n > 0 || got.State != policy.Unknown {
			checkWhole(t, got, n)
		}
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

// checkWhole returns when evidence is one whole set, and the last that was written or the one after that; 0: any.
func checkWhole(t *testing.T, got policy.Evidence, last int) {
	t.Helper()
	if got.State != policy.Found {
		t.Fatalf("after set %d: %+v", last, got)
	}
	files := filesNamed(t, got.Directory, "signature-%d", got.Signatures)
	bundles := filesNamed(t, got.Directory, "bundle-%d.json", got.Bundles)
	var n int
	if _, err := fmt.Sscan(files[0], &n); err != nil {
		t.Fatal(err)
	}
	if last > 0 && n != last && n != last+1 {
		t.Errorf("set %d was written whole, and there is %d", last, n)
	}
	var want []string
	for _, content := range generation(n) {
		want = append(want, string(content))
	}
	if !slices.Equal(files, want) || !slices.Equal(bundles, want) {
		t.Fatalf("set %d is not whole", n)
	}
}

// filesNamed returns the contents of so many files.
func filesNamed(t *testing.T, directory, name string, count int) []string {
	t.Helper()
	var contents []string
	for i := range count {
		content, err := os.ReadFile(filepath.Join(directory, fmt.Sprintf(name, i+1)))
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(content))
	}
	return contents
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
		return
	}
	named, err := policy.Normalize(crashRepository)
	if err != nil {
		return
	}
	m := manifestOf("image")
	for kept(keeper, named, m).State != policy.Found {
	}
	fmt.Fprintln(os.Stdout, kept(keeper, named, m).Directory)
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
