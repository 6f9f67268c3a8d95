package text_test

import (
	"testing"

	"github.com/countersign/countersign/policy/internal/text"
)

func TestShorten(t *testing.T) {
	tests := map[string]struct {
		s, want string
		limit   int
	}{
		"empty":                 {"", "", 0},
		"shorter":               {"abc", "abc", 4},
		"just so long":          {"abc", "abc", 3},
		"longer":                {"abcd", "abc…", 3},
		"cut within a letter":   {"aöö", "aö…", 4},
		"what is cut is broken": {"ab\xffcd", "ab…", 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := text.Shorten(test.s, test.limit); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestOneLine(t *testing.T) {
	tests := map[string]struct{ s, want string }{
		"empty":                             {"", ""},
		"one line":                          {"a line", "a line"},
		"several lines":                     {"\n a\r\n\tline \n", "a line"},
		"a terminal's escape":               {"a\x1b[2Jline", "a [2Jline"},
		"a mark that turns the text around": {"a\u202eline", "a line"},
		"not UTF-8":                         {"a\xff", "a\uFFFD"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := text.OneLine(test.s); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
