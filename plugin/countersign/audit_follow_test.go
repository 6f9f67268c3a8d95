package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// following is a file that is read while it is written.
type following struct {
	path  string
	lines chan string
	ended chan error
	stop  context.CancelFunc
}

func follow(t *testing.T, path string, atEnd bool) *following {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &following{path: path, lines: make(chan string, 100), ended: make(chan error, 1), stop: stop}
	started := make(chan struct{})
	go func() {
		close(started)
		f.ended <- followFile(ctx, path, func(line []byte) error { f.lines <- string(line); return nil }, atEnd)
	}()
	<-started
	return f
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// expect waits for lines.
func (f *following) expect(t *testing.T, lines ...string) {
	t.Helper()
	for _, want := range lines {
		select {
		case got := <-f.lines:
			if got != want+"\n" {
				t.Fatalf("read %q, want %q", got, want)
			}
		case err := <-f.ended:
			t.Fatalf("it ended: %v", err)
		case <-t.Context().Done():
			t.Fatalf("%q was not read", want)
		}
	}
}

// end ends the reading, and requires that nothing more was read.
func (f *following) end(t *testing.T) {
	t.Helper()
	f.stop()
	if err := <-f.ended; err != nil {
		t.Error(err)
	}
	close(f.lines)
	for line := range f.lines {
		t.Errorf("also read %q", line)
	}
}

func TestAFileIsFollowedOverItsRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	appendTo(t, path, "a\nb")
	f := follow(t, path, false)
	f.expect(t, "a")
	appendTo(t, path, "c\n")
	f.expect(t, "bc")
	for i := range 3 {
		appendTo(t, path, fmt.Sprintf("before %d\n", i))
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		// The daemon still has the old file open for a moment.
		appendTo(t, path+".1", fmt.Sprintf("late %d\n", i))
		appendTo(t, path, fmt.Sprintf("after %d\n", i))
		f.expect(t, fmt.Sprintf("before %d", i), fmt.Sprintf("late %d", i), fmt.Sprintf("after %d", i))
	}
	f.end(t)
}

func TestATruncatedFileIsFollowedFromItsBeginning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	appendTo(t, path, "a long line that is longer than all that follow\n")
	f := follow(t, path, false)
	f.expect(t, "a long line that is longer than all that follow")
	if err := os.WriteFile(path, []byte("b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.expect(t, "b")
	f.end(t)
}

// TestAPartOfALineThatIsRemovedAgainIsNotRead: the daemon removes what it could write of a record on a full disk.
func TestAPartOfALineThatIsRemovedAgainIsNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	appendTo(t, path, "a\n")
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var got []string
	tail := &fileTail{path: path, line: func(line []byte) error { got = append(got, string(line)); return nil }}
	tail.use(file)
	appendTo(t, path, "part of a line")
	read := func() {
		t.Helper()
		if err := tail.read(); err != nil {
			t.Fatal(err)
		}
	}
	read()
	if err := os.Truncate(path, 2); err != nil {
		t.Fatal(err)
	}
	read()
	appendTo(t, path, "b\n")
	read()
	if fmt.Sprint(got) != "[a\n b\n]" {
		t.Errorf("read %q", got)
	}
}

func TestWithoutSinceAFileIsFollowedFromItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	appendTo(t, path, "a\n")
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var got []string
	tail := &fileTail{path: path, line: func(line []byte) error { got = append(got, string(line)); return nil }}
	tail.use(file)
	if err := tail.skip(); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, "b\n")
	if err := tail.read(); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[b\n]" {
		t.Errorf("read %q", got)
	}
}
