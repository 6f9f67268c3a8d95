package signature

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/countersign/countersign/policy/internal/strictjson"
)

// enforcementField is the field of a requirement of any kind that says whether it is enforced.
const enforcementField = "enforcement"

// The values of the field.
const (
	enforced    = `"enforce"`
	onlyAudited = `"audit"`
)

// enforcement is which requirements of a list have the field, and which are only audited, by their numbers.
type enforcement struct{ given, audited map[int]bool }

// errNoneEnforced is the error of a default that would admit every image.
var errNoneEnforced = errors.New(`every requirement has "enforcement": "audit"; at least one must be enforced, such ` +
	`as {"type": "insecureAcceptAnything"}`)

// none reports whether none of a number of requirements is enforced.
func (e enforcement) none(of int) bool { return of > 0 && len(e.audited) == of }

// withoutEnforcement returns a list of requirements without the field enforcement, which no kind and no other tool
// knows. It is replaced by spaces, so that whatever is wrong with the rest is reported where it is. If the value is not
// a list of objects, containers/image reports it.
func withoutEnforcement(raw []byte) (rest []byte, found enforcement, err error) {
	if !bytes.Contains(raw, []byte(enforcementField)) {
		return raw, enforcement{}, nil
	}
	found = enforcement{map[int]bool{}, map[int]bool{}}
	rest = bytes.Clone(raw)
	walker := strictjson.NewWalker(raw, strictjson.Leniency{InvalidUTF8: true, Duplicates: true})
	number := 0
	var wrong error
	err = walker.Array(func() error {
		value, err := walker.Value()
		if err != nil {
			return err
		}
		start := walker.Position() - int64(len(value))
		if wrong == nil {
			wrong = found.remove(rest[start:walker.Position()], number, start)
		}
		number++
		return nil
	})
	if err != nil {
		return raw, enforcement{}, nil //nolint:nilerr // containers/image reports it better.
	}
	return rest, found, wrong
}

// remove replaces the field of one requirement by spaces. start is the offset of the requirement in its list.
func (e *enforcement) remove(object []byte, number int, start int64) error {
	members, ok := readMembers(object)
	if !ok {
		return nil // containers/image reports it.
	}
	members = slices.DeleteFunc(members, func(m member) bool { return m.name != enforcementField })
	if len(members) == 0 {
		return nil
	}
	wrong := func(format string, arguments ...any) error {
		err := fmt.Errorf("requirement %d: "+format, append([]any{number + 1}, arguments...)...)
		return &offsetError{start + members[len(members)-1].offset, err}
	}
	if len(members) > 1 {
		return wrong("duplicate key %q", enforcementField)
	}
	value := string(members[0].value)
	if value != enforced && value != onlyAudited {
		return wrong(`%q is %s and must be %s or %s`, enforcementField, value, enforced, onlyAudited)
	}
	e.given[number] = true
	if value == onlyAudited {
		e.audited[number] = true
	}
	blank(object, members[0])
	return nil
}

// blank replaces a member of an object, and one of the commas next to it, by spaces.
func blank(object []byte, m member) {
	end := int(m.offset) + len(m.value)
	// A name with this value has no escaped quotation marks.
	closing := bytes.LastIndexByte(object[:m.offset], '"')
	from := bytes.LastIndexByte(object[:closing], '"')
	after := end + len(object[end:]) - len(bytes.TrimLeft(object[end:], " \t\r\n"))
	if object[after] == ',' {
		end = after + 1
	} else if before := bytes.TrimRight(object[:from], " \t\r\n"); before[len(before)-1] == ',' {
		from = len(before) - 1
	}
	for i := from; i < end; i++ {
		object[i] = ' '
	}
}
