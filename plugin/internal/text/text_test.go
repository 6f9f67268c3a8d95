package text_test

import (
	"errors"
	"testing"

	"github.com/countersign/countersign/plugin/internal/text"
)

func TestAnyTextBecomesOnePrintableLine(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"plain":             {"no such host", "no such host"},
		"several lines":     {" the registry\n\tis down\r\n", "the registry is down"},
		"an escape":         {"\x1b[2Jhello", "?[2Jhello"},
		"a C1 control":      {"a\u009bb", "a?b"},
		"bytes, not UTF-8":  {"a\xffb", "a?b"},
		"letters elsewhere": {"naïve ünïcode", "naïve ünïcode"},
	} {
		if got := text.OfError(errors.New(test.text)); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
