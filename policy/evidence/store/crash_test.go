package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
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
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/evidence/store/storetest"
)

const (
	writerVariable = "STORE_TEST_WRITER"
	memoryVariable = "STORE_TEST_MEMORY"
)

// The test binary is also the program that is killed.
func TestMain(m *testing.M) {
	if directory := os.Getenv(writerVariable); directory != "" {
		writeUntilKilled(directory)
		return
	}
	if unusable := os.Getenv(memoryVariable); unusable != "" {
		storeInMemory(unusable)
		return
	}
	// Every set is synced, which takes seconds on a busy disk, and is not the subject of these tests.
	if unix.Access("/dev/shm", unix.W_OK) == nil {
		_ = os.Setenv("TMPDIR", "/dev/shm")
	}
	m.Run()
}

// generation returns the n-th set of files: each has another number of files, all of them marked n.
func generation(n int) (files []format.File) {
	for _, kind := range []format.Kind{format.KindSignature, format.KindBundle} {
		for i := range n%5 + 1 {
			files = append(files, format.Files(kind, fmt.Appendf(nil, "%d %d %s", n, i, strings.Repeat("x", n%4000)))...)
		}
	}
	return files
}

func openPlain(directory string) (*store.Store, error) {
	return store.Open(store.Config{Directory: directory, MaxSize: 1 << 30, Logger: slog.New(slog.DiscardHandler)})
}

// writeUntilKilled replaces one set by the next until it is killed.
func writeUntilKilled(directory string) {
	s, err := openPlain(directory)
	for n := 1; err == nil; n++ {
		if _, _, err = s.Put(keyOf("image"), store.Content{Files: generation(n)}, true); err == nil {
			fmt.Fprintln(os.Stdout, n)
		}
	}
	fmt.Fprintln(os.Stdout, err)
}

func TestAKilledWriterLeavesTheOldSetOrTheNewOne(t *testing.T) {
	directory := t.TempDir()
	for range 60 {
		n := killWriter(t, directory)
		// If it was killed before it wrote anything, there may be no files.
		if got := read(directory, keyOf("image")); n > 0 || got.State != policy.Unknown {
			checkWhole(t, got, n)
		}
	}
	store.Sweep(directory)
	left, err := filepath.Glob(filepath.Join(storetest.Base(directory, keyOf("image")), "*"))
	if err != nil || len(left) != 2 {
		t.Errorf("leftovers have not been removed: %v, %v", left, err)
	}
	if got := read(directory, keyOf("image")); got.State != policy.Found {
		t.Errorf("after that: %+v", got)
	}
}

// checkWhole returns if evidence is one whole set, and the last that was written or the one after that; 0: any.
func checkWhole(t *testing.T, got policy.Evidence, last int) {
	t.Helper()
	if got.State != policy.Found {
		t.Fatalf("after set %d: %+v", last, got)
	}
	files := filesIn(t, got)
	var n int
	if _, err := fmt.Sscan(string(files[0].Bytes), &n); err != nil {
		t.Fatal(err)
	}
	if last > 0 && n != last && n != last+1 {
		t.Errorf("set %d was written completely, and there is %d", last, n)
	}
	if !slices.EqualFunc(files, generation(n), func(a, b format.File) bool {
		return a.Kind == b.Kind && string(a.Bytes) == string(b.Bytes)
	}) {
		t.Fatalf("set %d is incomplete", n)
	}
}

// killWriter starts a writer, kills it at some moment, and returns the last set that it reported.
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

// storeInMemory stores something without a disk, and runs until it is killed.
func storeInMemory(unusable string) {
	s, err := openPlain(unusable)
	if err != nil {
		return
	}
	set, _, err := s.Put(keyOf("image"), store.Content{Files: generation(1)}, true)
	if err != nil {
		return
	}
	fmt.Fprintln(os.Stdout, set.Evidence().Directory)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestWhatAKilledProcessStoredInMemoryIsRemovedAtTheNextStart(t *testing.T) {
	command := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	command.Env = append(os.Environ(), memoryVariable+"="+unusableDirectory(t))
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
	t.Cleanup(func() { _ = command.Process.Kill() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("it stored nothing")
	}
	directory := lines.Text()
	storetest.Open(t, t.TempDir()).Close()
	if !exists(directory) {
		t.Error("it was removed while its process runs")
	}
	if err := command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = command.Wait()
	if !exists(directory) {
		t.Fatal("it was removed too early")
	}
	storetest.Open(t, t.TempDir()).Close()
	if exists(directory) {
		t.Error("it was not removed")
	}
}
