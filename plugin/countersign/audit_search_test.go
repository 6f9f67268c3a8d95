package main

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// searched returns what a search in blocks of that size finds.
func searched(t *testing.T, log, text string, block int64) (found []string) {
	t.Helper()
	search := backwardSearch{text: []byte(text), block: block, line: func(line []byte) error {
		found = append(found, string(line))
		return nil
	}}
	if err := search.read(t.Context(), io.NewSectionReader(strings.NewReader(log), 0, int64(len(log)))); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestASearchFindsTheLastLinesFirst(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLine)
	for name, test := range map[string]struct {
		log, text string
		want      []string
	}{
		"nothing":                       {"", "a", nil},
		"no line":                       {"bb\nbb\n", "a", nil},
		"all lines":                     {"1\n2\n\n3\n", "", []string{"3", "2", "1"}},
		"some lines":                    {"1a\n2\n3a\na4a\n", "a", []string{"a4a", "3a", "1a"}},
		"a last line without its break": {"1a\n2a", "a", []string{"2a", "1a"}},
		"no text across a line break":   {"1a\nb2\n", "ab", nil},
		"not a line that is too long":   {"1a\n" + long + "a\n2a\n", "a", []string{"2a", "1a"}},
		"not a first line that is":      {long + "a\n2a\n", "a", []string{"2a"}},
		"a long line": {
			"1\n" + long[:maxLine/2] + "a\n2a\n", "a", []string{"2a", long[:maxLine/2] + "a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, block := range []int64{1, 2, 3, 5, 1 << 16, searchBlock, 1 << 22} {
				if len(test.log) > maxLine/2 && block < 1<<16 {
					continue
				}
				if got := searched(t, test.log, test.text, block); !slices.Equal(got, test.want) {
					t.Errorf("in blocks of %d bytes: %.100q, want %.100q", block, got, test.want)
				}
			}
		})
	}
}

func TestASearchEndsEarly(t *testing.T) {
	t.Parallel()
	count := 0
	search := backwardSearch{text: []byte("a"), block: 4, line: func([]byte) error {
		if count++; count == 2 {
			return errEnough
		}
		return nil
	}}
	err := search.read(t.Context(), io.NewSectionReader(strings.NewReader(strings.Repeat("a\n", 9)), 0, 18))
	if !errors.Is(err, errEnough) || count != 2 {
		t.Errorf("it ends after %d lines: %v", count, err)
	}
}

// FuzzSearch compares the search with reading all lines.
func FuzzSearch(f *testing.F) {
	f.Add("1a\n\n2\n3a", "a", int64(2))
	f.Add("\n\n", "", int64(1))
	f.Fuzz(func(t *testing.T, log, text string, block int64) {
		if block < 1 || strings.Contains(text, "\n") {
			return
		}
		var want []string
		err := readLines(strings.NewReader(log), func(line []byte) error {
			if line = bytes.TrimSuffix(line, []byte("\n")); len(line) > 0 && bytes.Contains(line, []byte(text)) {
				want = append(want, string(line))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(want)
		if got := searched(t, log, text, block); !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
	})
}
