package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// followInterval is how often a file is read that another program writes.
const followInterval = 200 * time.Millisecond

// followFile calls line for each line that is written to a file, until the context ends. It starts at the end of the
// file or at its beginning, and continues with a new file when the file is rotated.
func followFile(ctx context.Context, path string, line lineFunc, atEnd bool) error {
	file, err := os.Open(path)
	if err != nil {
		return auditFileError(err)
	}
	tail := &fileTail{path: path, line: line}
	tail.use(file)
	defer func() { _ = tail.file.Close() }()
	if atEnd {
		if err := tail.skip(); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	for {
		if err := tail.read(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// fileTail reads lines at the end of a file.
type fileTail struct {
	path   string
	line   lineFunc
	file   *os.File
	reader *bufio.Reader
	// begun is the part of a line that was written so far.
	begun begunLine
}

func (t *fileTail) use(file *os.File) {
	t.file, t.reader, t.begun = file, bufio.NewReader(file), begunLine{}
}

func (t *fileTail) skip() error {
	if _, err := t.file.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	return nil
}

// read reads everything that has been written, also to the files that have replaced the file since.
func (t *fileTail) read() error {
	for {
		// The comparison comes first: what is written to the old file after it was replaced is read below.
		next, err := t.replacement()
		if err != nil {
			return err
		}
		if err := t.lines(); err != nil || next == nil {
			return err
		}
		_ = t.file.Close()
		t.use(next)
	}
}

// lines reads complete lines up to the end of the file, from its beginning if it has been truncated.
func (t *fileTail) lines() error {
	for {
		part, err := t.reader.ReadSlice('\n')
		t.begun.add(part)
		switch {
		case err == nil:
			if err := t.begun.end(t.line); err != nil {
				return err
			}
		case errors.Is(err, io.EOF):
			return t.rewind()
		case !errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("reading the audit log: %w", err)
		}
	}
}

// rewind goes back in a file that is shorter than what was read of it: to the last complete line, after which a part of
// a line was removed again, or, if that is gone too, to the beginning.
func (t *fileTail) rewind() error {
	info, err := t.file.Stat()
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	at, err := t.file.Seek(0, io.SeekCurrent)
	if info.Size() >= at || errors.Is(err, syscall.ESPIPE) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	to := at - t.begun.length
	if info.Size() < to {
		to = 0
	}
	if _, err := t.file.Seek(to, io.SeekStart); err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	t.use(t.file)
	return nil
}

// replacement opens the file that has the path now; nil: it is the same one, or there is none yet.
func (t *fileTail) replacement() (*os.File, error) {
	now, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // No file is no error: a program that rotates creates the next one later.
	}
	if err != nil {
		return nil, auditFileError(err)
	}
	current, err := t.file.Stat()
	if err != nil || os.SameFile(now, current) {
		return nil, err
	}
	next, err := os.Open(t.path)
	if err != nil {
		return nil, auditFileError(err)
	}
	return next, nil
}
