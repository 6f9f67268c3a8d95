package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// Leniency is what a [Walker] accepts beyond RFC 8259 without surprises. The zero value accepts nothing.
type Leniency struct {
	// InvalidUTF8 accepts bytes that are not UTF-8, in names too. They stand for U+FFFD, as in encoding/json.
	InvalidUTF8 bool
	// DuplicatesInValues accepts names that occur twice within values that are not walked through.
	DuplicatesInValues bool
	// Duplicates accepts names that occur twice anywhere: the caller looks for them itself.
	Duplicates bool
}

// Walker reads one JSON value in one pass.
type Walker struct {
	decoder *jsontext.Decoder
	// looksForDuplicates reports whether the walker has to find names that occur twice: elsewhere the decoder does, or
	// the caller.
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

// Object reads an object and calls member with each name. member reads the value.
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

// Array reads an array and calls element for each element. element reads it.
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

// Text reads a string.
func (w *Walker) Text() (string, error) {
	token, err := w.token('"', "a string")
	if err != nil {
		return "", err
	}
	return token.String(), nil
}

// token reads the token that begins a value of some kind. The kind of a value that is not well-formed is 0.
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

// End returns an error unless everything was read. what names the value in the error.
func (w *Walker) End(what string) error {
	w.offset = w.decoder.InputOffset()
	if _, err := w.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("there is data after the %s", what)
	}
	return nil
}

// Offset returns where, in bytes, the value begins whose name was read last, or after [Walker.End] the end of it all.
func (w *Walker) Offset() int64 { return w.offset }
