package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// tailed is the end of a file, and the lines that were read of it.
type tailed struct {
	tail  *fileTail
	lines []string
}

func openTail(t *testing.T, path string) *tailed {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	opened := &tailed{}
	opened.tail = &fileTail{path: path, line: func(line []byte) error {
		opened.lines = append(opened.lines, string(line))
		return nil
	}}
	opened.tail.use(file)
	return opened
}

func (o *tailed) read(t *testing.T) {
	t.Helper()
	if err := o.tail.read(); err != nil {
		t.Fatal(err)
	}
}

func (o *tailed) expect(t *testing.T, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(lines, o.lines); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

// TestAPartOfALineThatIsRemovedAgainIsNotRead: the daemon removes what it could write of a record on a full disk.
func TestAPartOfALineThatIsRemovedAgainIsNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	appendTo(t, path, "a\n")
	opened := openTail(t, path)
	appendTo(t, path, "part of a line")
	opened.read(t)
	if err := os.Truncate(path, 2); err != nil {
		t.Fatal(err)
	}
	opened.read(t)
	appendTo(t, path, "b\n")
	opened.read(t)
	opened.expect(t, "a\n", "b\n")
}

func TestWithoutSinceAFileIsFollowedFromItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	appendTo(t, path, "a\n")
	opened := openTail(t, path)
	if err := opened.tail.skip(); err != nil {
		t.Fatal(err)
	}
	appendTo(t, path, "b\n")
	opened.read(t)
	opened.expect(t, "b\n")
}

func TestLinesThatAreTooLongAreSkipped(t *testing.T) {
	longest, tooLong := strings.Repeat("a", maxLine-1)+"\n", strings.Repeat("b", maxLine)+"\n"
	text := "first\n" + tooLong + longest + tooLong + "last"
	t.Run("in a file that is read once", func(t *testing.T) {
		var lines []string
		err := readLines(strings.NewReader(text), func(line []byte) error {
			lines = append(lines, string(line))
			return nil
		})
		if err != nil || !slices.Equal(lines, []string{"first\n", longest, "last"}) {
			t.Errorf("%d lines were read: %v", len(lines), err)
		}
	})
	t.Run("in a file that is followed", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.log")
		appendTo(t, path, text[:len(text)-6])
		opened := openTail(t, path)
		opened.read(t)
		appendTo(t, path, text[len(text)-6:]+"\n")
		opened.read(t)
		if !slices.Equal(opened.lines, []string{"first\n", longest, "last\n"}) {
			t.Errorf("%d lines were read", len(opened.lines))
		}
	})
}
