package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/countersign/countersign/plugin/internal/audit"
)

// searchBlock is how much of a file is searched at once, in bytes. It fits into a processor's cache.
const searchBlock = 256 << 10

// errEnough ends a search early. It is no failure.
var errEnough = errors.New("enough lines were found")

// searchFiles searches a file and its rotated files, the newest first.
func searchFiles(path string, most int) func(ctx context.Context, text string, line lineFunc) error {
	return func(ctx context.Context, text string, line lineFunc) error {
		for _, name := range slices.Backward(append(audit.RotatedFiles(path, most), path)) {
			file, err := os.Open(name)
			if err != nil {
				return auditFileError(err)
			}
			err = searchFile(ctx, file, text, line)
			if closed := file.Close(); err == nil {
				err = closed
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// searchFile calls line for each line of a file that contains the text, the last one first.
func searchFile(ctx context.Context, file *os.File, text string, line lineFunc) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	search := backwardSearch{text: []byte(text), block: searchBlock, line: line}
	return search.read(ctx, io.NewSectionReader(file, 0, info.Size()))
}

// backwardSearch calls line for each line that contains the text, the last one first; line must not retain it. It
// searches blocks of that many bytes, because looking at each line takes several times longer.
type backwardSearch struct {
	text  []byte
	block int64
	line  lineFunc
}

func (s backwardSearch) read(ctx context.Context, log *io.SectionReader) error {
	// rest is the beginning of the block that was read before: the end of a line.
	var block, rest []byte
	for end := log.Size(); end > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		start := max(0, end-s.block)
		block = slices.Grow(block[:0], int(end-start)+len(rest))[:end-start]
		if _, err := log.ReadAt(block, start); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading the audit log: %w", err)
		}
		block = append(block, rest...)
		end = start
		complete := 0
		if start > 0 {
			complete = bytes.IndexByte(block, '\n') + 1
		}
		if start > 0 && complete == 0 {
			// A line that is longer is no record, whatever else it has.
			rest = append(rest[:0], block[:min(len(block), maxLine+1)]...)
			continue
		}
		rest = append(rest[:0], block[:max(0, complete-1)]...)
		if err := s.lines(block[complete:]); err != nil {
			return err
		}
	}
	return nil
}

// lines calls line for each line of a block that contains the text, the last one first.
func (s backwardSearch) lines(block []byte) error {
	var found [][]byte
	for len(block) > 0 {
		at := bytes.Index(block, s.text)
		if at < 0 {
			break
		}
		begin, end := bytes.LastIndexByte(block[:at], '\n')+1, len(block)
		if length := bytes.IndexByte(block[at:], '\n'); length >= 0 {
			end = at + length
		}
		if end > begin && end-begin < maxLine {
			found = append(found, block[begin:end])
		}
		block = block[min(end+1, len(block)):]
	}
	for _, one := range slices.Backward(found) {
		if err := s.line(one); err != nil {
			return err
		}
	}
	return nil
}
