package evidence

import (
	"bytes"
	"fmt"
)

// maxElements bounds the elements of a manifest, an index or a list of referrers: its braces, brackets and commas.
// Each becomes a value some forty times as long as itself, and a document of 4 MiB can consist of nothing else. In
// those that people make an element has forty bytes and more.
const maxElements = 1 << 17

// checkElements returns an error for a document that is not to be parsed.
func checkElements(raw []byte) error {
	elements := bytes.Count(raw, []byte{'{'}) + bytes.Count(raw, []byte{'['}) + bytes.Count(raw, []byte{','})
	if elements > maxElements {
		return fmt.Errorf("it has %d elements, more than the %d that are read", elements, maxElements)
	}
	return nil
}
