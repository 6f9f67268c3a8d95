package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Leniency is what a [Walker] accepts beyond strict RFC 8259. The zero value accepts nothing more.
type Leniency struct {
	// InvalidUTF8 accepts bytes that are not UTF-8, also in names. They are read as U+FFFD, as in encoding/json.
	InvalidUTF8 bool
	// DuplicatesInValues accepts duplicate names within values that the caller does not walk through.
	DuplicatesInValues bool
	// Duplicates accepts duplicate names everywhere: the caller detects them.
	Duplicates bool
}

// Walker reads one JSON value in one pass.
type Walker struct {
	decoder *jsontext.Decoder
	// looksForDuplicates reports whether the walker must detect duplicate names: otherwise the decoder or the caller does.
	looksForDuplicates bool
	offset             int64
}

// NewWalker returns a walker at the beginning of raw. Values that it returns may share its memory.
func NewWalker(raw []byte, lenient Leniency) *Walker {
	return &Walker{
		decoder: jsontext.NewDecoder(bytes.NewBuffer(raw),
			jsontext.AllowInvalidUTF8(lenient.InvalidUTF8),
			jsontext.AllowDuplicateNames(lenient.DuplicatesInValues || lenient.Duplicates)),
		looksForDuplicates: lenient.DuplicatesInValues && !lenient.Duplicates,
	}
}

// Object reads an object and calls member with each name; member must read the value.
func (w *Walker) Object(member func(name string) error) error {
	if _, err := w.token('{', "an object"); err != nil {
		return err
	}
	var seen map[string]struct{}
	if w.looksForDuplicates {
		seen = make(map[string]struct{})
	}
	for w.decoder.PeekKind() != '}' {
		token, err := w.decoder.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		w.offset = w.decoder.InputOffset()
		if _, twice := seen[name]; twice {
			return fmt.Errorf("duplicate key %q", name)
		}
		if seen != nil {
			seen[name] = struct{}{}
		}
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := w.decoder.ReadToken()
	return err
}

// Array reads an array and calls element for each element; element must read it.
func (w *Walker) Array(element func() error) error {
	if _, err := w.token('[', "an array"); err != nil {
		return err
	}
	for w.decoder.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	_, err := w.decoder.ReadToken()
	return err
}

// Null reads the value null and returns true, if it is next.
func (w *Walker) Null() bool {
	if w.decoder.PeekKind() != 'n' {
		return false
	}
	_, err := w.decoder.ReadToken()
	return err == nil
}

// Text reads a string.
func (w *Walker) Text() (string, error) {
	token, err := w.token('"', "a string")
	if err != nil {
		return "", err
	}
	return token.String(), nil
}

// token reads the first token of a value of an expected kind. The kind of an invalid value is 0.
func (w *Walker) token(kind jsontext.Kind, name string) (jsontext.Token, error) {
	if found := w.decoder.PeekKind(); found != kind && found != 0 {
		return jsontext.Token{}, fmt.Errorf("expected %s, found %s", name, found)
	}
	return w.decoder.ReadToken()
}

// Value reads a value of any kind and returns its bytes, which are valid until the next read.
func (w *Walker) Value() (jsontext.Value, error) { return w.decoder.ReadValue() }

// Decode reads a value as [Unmarshal] does.
func (w *Walker) Decode(into any) error {
	value, err := w.decoder.ReadValue()
	if err != nil {
		return err
	}
	return Unmarshal(value, into)
}

// Skip reads a value and drops it.
func (w *Walker) Skip() error { return w.decoder.SkipValue() }

// End returns an error unless everything was read. what describes the value in the error.
func (w *Walker) End(what string) error {
	w.offset = w.decoder.InputOffset()
	if _, err := w.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("there is data after the %s", what)
	}
	return nil
}

// Position returns the offset in bytes of the end of what was read last.
func (w *Walker) Position() int64 { return w.decoder.InputOffset() }

// Offset returns the offset in bytes of the value whose name was read last, or after [Walker.End] of the end.
func (w *Walker) Offset() int64 { return w.offset }
