package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/countersign/countersign/conf"
)

// auditLog is a place where records are.
type auditLog struct {
	// name is what the place is called in messages.
	name string
	// read calls line for each line. Lines before that time may be missing. Without a time and with --follow, it starts at
	// the end.
	read func(ctx context.Context, since time.Time, line lineFunc) error
}

// lineFunc receives a line of a log. An error ends the reading.
type lineFunc func(line []byte) error

// auditSource returns the place that the command line or the configuration names.
func auditSource(flags auditFlags, file string, stdin io.Reader) (auditLog, error) {
	if file == "-" {
		return auditLog{"standard input", func(_ context.Context, _ time.Time, line lineFunc) error {
			return readLines(stdin, line)
		}}, nil
	}
	if file != "" {
		return fileLog(file, 0, flags.follow), nil
	}
	config, err := conf.Read(flags.config)
	if err != nil {
		return auditLog{}, err
	}
	if config.Audit.File != "" {
		return fileLog(config.Audit.File, config.Audit.MaxFiles, flags.follow), nil
	}
	return journalLog(flags.unit, flags.follow), nil
}

// readLines calls line for each complete line, however long. The last one may lack the line break.
func readLines(from io.Reader, line lineFunc) error {
	reader := bufio.NewReader(from)
	for {
		read, err := reader.ReadBytes('\n')
		if len(read) > 0 {
			if err := line(read); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the audit log: %w", err)
		}
	}
}

// fileLog is a file, and at most that many rotated files.
func fileLog(path string, rotated int, follow bool) auditLog {
	return auditLog{path, func(ctx context.Context, since time.Time, line lineFunc) error {
		if follow && since.IsZero() {
			return followFile(ctx, path, line, true)
		}
		for _, name := range rotatedFiles(path, rotated) {
			if err := readFile(name, line); err != nil {
				return err
			}
		}
		if follow {
			return followFile(ctx, path, line, false)
		}
		return readFile(path, line)
	}}
}

// rotatedFiles returns the names of the rotated files that exist, the oldest first.
func rotatedFiles(path string, most int) (names []string) {
	for number := range most {
		name := path + "." + strconv.Itoa(number+1)
		if _, err := os.Lstat(name); err == nil {
			names = append(names, name)
		}
	}
	slices.Reverse(names)
	return names
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
