package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/supervisor"
)

// auditLog is a place where records are.
type auditLog struct {
	// name is what the place is called in messages.
	name string
	// read calls line for each line. Lines before that time may be missing. Without a time and with --follow, it starts at
	// the end.
	read func(ctx context.Context, since time.Time, line lineFunc) error
	// search calls line for the lines that contain a text, and perhaps others, the newest first; nil: the log can only be
	// read.
	search func(ctx context.Context, text string, line lineFunc) error
}

// lineFunc receives a line of a log, without those that are too long. An error ends the reading.
type lineFunc func(line []byte) error

// auditPlace selects the records to read.
type auditPlace struct {
	// config is the path of the configuration, and unit the systemd unit whose journal is read if it names no file.
	config, unit string
	follow       bool
}

// auditSource returns the place that the command line or the configuration names.
func auditSource(place auditPlace, file string, stdin io.Reader) (auditLog, error) {
	if file == "-" {
		return auditLog{name: "standard input", read: func(_ context.Context, _ time.Time, line lineFunc) error {
			return readLines(stdin, line)
		}}, nil
	}
	if file != "" {
		return fileLog(file, 0, place.follow), nil
	}
	config, err := conf.Read(place.config)
	if err != nil {
		return auditLog{}, err
	}
	if config.Audit.File != "" {
		return fileLog(config.Audit.File, config.Audit.MaxFiles, place.follow), nil
	}
	if _, err := os.Stat(supervisor.LogFile); err == nil && !supervisor.SystemdRuns() {
		return fileLog(supervisor.LogFile, supervisor.LogFiles, place.follow), nil
	}
	return journalLog(place), nil
}

// maxLine limits a line of a log, in bytes. A longer one is no record.
const maxLine = 1 << 20

// begunLine is the part of a line that was read so far.
type begunLine struct {
	bytes []byte
	// length is the length of the part, of which bytes has nothing if the line is too long.
	length int64
}

func (b *begunLine) add(part []byte) {
	b.length += int64(len(part))
	if b.length > maxLine {
		b.bytes = nil
		return
	}
	b.bytes = append(b.bytes, part...)
}

// end calls line for a line that is complete, unless it is too long.
func (b *begunLine) end(line lineFunc) error {
	complete := *b
	*b = begunLine{}
	if complete.length == 0 || complete.length > maxLine {
		return nil
	}
	return line(complete.bytes)
}

// readLines calls line for each complete line. The last one may lack the line break.
func readLines(from io.Reader, line lineFunc) error {
	reader, begun := bufio.NewReaderSize(from, 64<<10), begunLine{}
	for {
		part, err := reader.ReadSlice('\n')
		begun.add(part)
		if err == nil || errors.Is(err, io.EOF) {
			if failed := begun.end(line); failed != nil || err != nil {
				return failed
			}
		} else if !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("reading the audit log: %w", err)
		}
	}
}

// fileLog is a file, and at most that many rotated files.
func fileLog(path string, rotated int, follow bool) auditLog {
	read := func(ctx context.Context, since time.Time, line lineFunc) error {
		if follow && since.IsZero() {
			return followFile(ctx, path, line, true)
		}
		for _, name := range audit.RotatedFiles(path, rotated) {
			if err := readFile(name, line); err != nil {
				return err
			}
		}
		if follow {
			return followFile(ctx, path, line, false)
		}
		return readFile(path, line)
	}
	return auditLog{name: "the audit log " + path, read: read, search: searchFiles(path, rotated)}
}

func readFile(path string, line lineFunc) error {
	file, err := os.Open(path)
	if err != nil {
		return auditFileError(err)
	}
	defer file.Close()
	return readLines(file, line)
}

func auditFileError(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("reading the audit log: %w: only root may read it", err)
	}
	return fmt.Errorf("reading the audit log: %w", err)
}
