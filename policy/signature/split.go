package signature

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
	"go.podman.io/image/v5/transports"
)

// listPosition is where a list of requirements stands in a document.
type listPosition struct {
	transport, scope string
	// isDefault is for the document's default, for even the empty string may be written as a transport's name.
	isDefault bool
}

// String says it as an operator would.
func (p listPosition) String() string {
	if p.isDefault {
		return "the default"
	}
	return fmt.Sprintf("scope %q of transport %q", p.scope, p.transport)
}

// splitter walks through a document down to its lists of requirements, in one pass and without copying.
type splitter struct {
	decoder *jsontext.Decoder
	visit   func(listPosition, []byte) error
	// offset is where the value begins that is being read.
	offset int64
}

// readDocument calls visit for each list of requirements in a document. The bytes are those of raw.
//
// A document is an object with "default", which must be present, and "transports". Names are told apart by case, and
// none may occur twice. Bytes that are not UTF-8 stand for U+FFFD, in names too, as encoding/json has it.
func readDocument(raw []byte, visit func(at listPosition, list []byte) error) error {
	// Within lists, it is for containers/image to find names that occur twice.
	decoder := jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowInvalidUTF8(true),
		jsontext.AllowDuplicateNames(true))
	s := &splitter{decoder: decoder, visit: visit}
	var hasDefault bool
	err := s.object(func(name string) error {
		switch name {
		case "default":
			hasDefault = true
			return s.list(listPosition{isDefault: true})
		case "transports":
			return s.object(s.transport)
		default:
			return fmt.Errorf("unknown key %q", name)
		}
	})
	if err != nil {
		return at(raw, s.offset, err)
	}
	if !hasDefault {
		return at(raw, 0, errors.New("the default is missing"))
	}
	end := decoder.InputOffset()
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return at(raw, end, errors.New("there is data after the document"))
	}
	return nil
}

// transport reads the scopes of one transport. Scopes of transports that are not linked cannot be checked.
func (s *splitter) transport(name string) error {
	transport := transports.Get(name)
	return s.object(func(scope string) error {
		if scope != "" && transport != nil {
			if err := transport.ValidatePolicyConfigurationScope(scope); err != nil {
				return fmt.Errorf("transport %q: %w", name, err)
			}
		}
		return s.list(listPosition{transport: name, scope: scope})
	})
}

// list hands on the bytes of one value, which may yet be no list.
func (s *splitter) list(at listPosition) error {
	value, err := s.decoder.ReadValue()
	if err != nil {
		return err
	}
	return s.visit(at, value)
}

// object reads an object and calls member for each name; member reads the value.
func (s *splitter) object(member func(name string) error) error {
	if kind := s.decoder.PeekKind(); kind != '{' && kind != 0 {
		return fmt.Errorf("expected an object, found %s", kind)
	}
	if _, err := s.decoder.ReadToken(); err != nil {
		return err
	}
	seen := make(map[string]struct{})
	for s.decoder.PeekKind() != '}' {
		token, err := s.decoder.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		if _, ok := seen[name]; ok {
			s.offset = s.decoder.InputOffset()
			return fmt.Errorf("duplicate key %q", name)
		}
		seen[name] = struct{}{}
		s.offset = s.decoder.InputOffset()
		if err := member(name); err != nil {
			return err
		}
	}
	_, err := s.decoder.ReadToken()
	return err
}
