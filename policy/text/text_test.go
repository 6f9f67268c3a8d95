package text_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/countersign/countersign/policy/text"
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

func TestSummary(t *testing.T) {
	for s, want := range map[string]string{
		"short": "short", "two\nlines": "two lines", strings.Repeat("x", 20): "xxxxxxx…", "éééééé": "ééé…",
	} {
		if got := text.Summary(s, 10); got != want || len(got) > 10 {
			t.Errorf("got %q of %d bytes, want %q", got, len(got), want)
		}
	}
	if got := text.OfError(errors.New("a\nb")); got != "a b" {
		t.Errorf("got %q", got)
	}
}

func TestAbbreviate(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "just so long": "just so long", "registry.example/app:v1": "regist…pp:v1",
		"ä/\u202e/ö\n/ü/ß/é/à/è": "ä/\uFFFD/ö\uFFFD…é/à/è",
	} {
		if got := text.Abbreviate(s, 12); got != want || utf8.RuneCountInString(got) > 12 {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestList(t *testing.T) {
	items := []string{"a", "b", "c", "d"}
	for most, want := range map[int]string{5: "a, b, c, d", 4: "a, b, c, d", 2: "a, b and 2 more", 1: "a and 3 more"} {
		if got := text.List(items, most); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := text.List(nil, 2); got != "" {
		t.Errorf("got %q of nothing", got)
	}
}
