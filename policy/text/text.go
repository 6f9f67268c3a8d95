package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const ellipsis = "…"

// Shorten truncates s after limit bytes and appends an ellipsis. It splits no character.
func Shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + ellipsis
}

// OneLine replaces each run of white space and unprintable characters by one space, and invalid UTF-8 by U+FFFD. So it
// contains no control characters, which could move the cursor of a terminal.
func OneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}

// Summary returns s in one line of at most limit bytes.
func Summary(s string, limit int) string {
	if s = OneLine(s); len(s) <= limit {
		return s
	}
	return Shorten(s, limit-len(ellipsis))
}

// OfError returns an error in one line.
func OfError(err error) string { return OneLine(err.Error()) }

// Abbreviate replaces the middle of s by an ellipsis if s has more than limit characters: the ends of a reference or a
// path say the most. It replaces each unprintable character by U+FFFD, because a mount path may contain line breaks and
// characters that reverse the text around them.
func Abbreviate(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	runes := []rune(s)
	return string(runes[:limit/2]) + ellipsis + string(runes[len(runes)-limit/2+1:])
}

// List joins at most that many items with commas, and counts the others.
func List(items []string, most int) string {
	if len(items) <= most {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
}
