package signature

import (
	"errors"
	"fmt"

	"go.podman.io/image/v5/transports"

	"github.com/countersign/countersign/policy/internal/strictjson"
)

// listPosition is the position of a list of requirements in a document.
type listPosition struct {
	transport, scope string
	// isDefault is set for the document's default: the empty string is a valid name of a transport.
	isDefault bool
}

// String returns it in the words of the file.
func (p listPosition) String() string {
	if p.isDefault {
		return "the default"
	}
	return fmt.Sprintf("scope %q of transport %q", p.scope, p.transport)
}

// splitter walks through a document to its lists of requirements, in one pass and without copying.
type splitter struct {
	walker *strictjson.Walker
	visit  func(listPosition, []byte) error
	// start is the offset of the list that was read last.
	start int64
}

// readDocument calls visit for each list of requirements in a document. The bytes are part of raw.
//
// A document is an object with "default", which is required, and "transports". Names are case-sensitive, and none may
// occur twice. Invalid UTF-8 is read as U+FFFD, also in names, as in encoding/json.
func readDocument(raw []byte, visit func(at listPosition, list []byte) error) error {
	// In lists, containers/image detects duplicate names.
	walker := strictjson.NewWalker(raw, strictjson.Leniency{InvalidUTF8: true, DuplicatesInValues: true})
	s := &splitter{walker: walker, visit: visit}
	var hasDefault bool
	err := walker.Object(func(name string) error {
		switch name {
		case "default":
			hasDefault = true
			return s.list(listPosition{isDefault: true})
		case "transports":
			return s.walker.Object(s.transport)
		default:
			return fmt.Errorf("unknown key %q", name)
		}
	})
	if within, ok := errors.AsType[*offsetError](err); ok {
		return at(raw, s.start+within.offset, err)
	}
	if err != nil {
		return at(raw, walker.Offset(), err)
	}
	if !hasDefault {
		return at(raw, 0, errors.New("the default is missing"))
	}
	if err := walker.End("document"); err != nil {
		return at(raw, walker.Offset(), err)
	}
	return nil
}

// transport reads the scopes of one transport. Scopes of unknown transports cannot be checked.
func (s *splitter) transport(name string) error {
	transport := transports.Get(name)
	return s.walker.Object(func(scope string) error {
		if scope != "" && transport != nil {
			if err := transport.ValidatePolicyConfigurationScope(scope); err != nil {
				return fmt.Errorf("transport %q: %w", name, err)
			}
		}
		return s.list(listPosition{transport: name, scope: scope})
	})
}

// list passes the bytes of one value to visit. It need not be a list.
func (s *splitter) list(at listPosition) error {
	value, err := s.walker.Value()
	if err != nil {
		return err
	}
	s.start = s.walker.Position() - int64(len(value))
	return s.visit(at, value)
}
