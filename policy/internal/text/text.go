package text

import (
	"strings"
	"unicode"
)

// Shorten cuts s after limit bytes and marks the cut with an ellipsis, which comes on top. No character is split.
func Shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// OneLine replaces each run of white space and of characters that do not print with one space, and what is not UTF-8
// with U+FFFD.
func OneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}
