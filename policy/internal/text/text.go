package text

import (
	"strings"
	"unicode"
)

// Shorten truncates s after limit bytes and appends an ellipsis. It splits no character.
func Shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}

// OneLine replaces each run of white space and unprintable characters by one space, and invalid UTF-8 by U+FFFD.
func OneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}
