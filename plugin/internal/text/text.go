package text

import "strings"

// OneLine returns text with each sequence of white space replaced by one space.
func OneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// Printable returns text without control characters, which could move the cursor of a terminal.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// OfError returns the text of an error as one printable line.
func OfError(err error) string { return Printable(OneLine(err.Error())) }
