package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign/countersign/policy/internal/fulcio"
	"github.com/countersign/countersign/policy/internal/strictjson"
)

// placeholder is the address that containers/image gets to see in a requirement that names its signer otherwise: it
// checks all other fields, and it requires an address.
const placeholder = "nobody@example.invalid"

// member is a member of a JSON object. offset is where its value begins, in bytes.
type member struct {
	name   string
	value  []byte
	offset int64
}

// withoutExtensions checks the extension fields in a sigstoreSigned requirement, and returns the requirement without
// them, as containers/image can check it, and their names. Without such fields names is empty, and whatever is wrong
// with the requirement, containers/image reports it.
//
// Every byte of the rest goes to containers/image, so that it is exactly as strict as without the extensions.
func withoutExtensions(raw []byte) (rest []byte, names []string, err error) {
	section, ok := fulcioOf(raw)
	if !ok {
		return raw, nil, nil
	}
	members, ok := readMembers(section.value)
	if !ok {
		return raw, nil, nil
	}
	for _, member := range members {
		if isExtension(member.name) {
			names = append(names, "fulcio."+member.name)
		}
	}
	if len(names) == 0 {
		return raw, nil, nil
	}
	standard, err := standardFulcio(members)
	if err != nil {
		err = fmt.Errorf("fulcio: %w", err)
		if inner, ok := errors.AsType[*offsetError](err); ok {
			return nil, nil, &offsetError{section.offset + inner.offset, err}
		}
		return nil, nil, &offsetError{section.offset, err}
	}
	end := section.offset + int64(len(section.value))
	return bytes.Join([][]byte{raw[:section.offset], standard, raw[end:]}, nil), names, nil
}

func isExtension(name string) bool { return new(fulcio.Identity).Field(name) != nil }

// fulcioOf returns the member "fulcio", if there is exactly one.
func fulcioOf(raw []byte) (section member, ok bool) {
	members, ok := readMembers(raw)
	if !ok {
		return member{}, false
	}
	members = slices.DeleteFunc(members, func(m member) bool { return m.name != "fulcio" })
	if len(members) != 1 {
		return member{}, false
	}
	return members[0], true
}

// readMembers returns the members of an object in order, also those that are there twice.
func readMembers(raw []byte) (members []member, ok bool) {
	walker := strictjson.NewWalker(raw, strictjson.Leniency{InvalidUTF8: true, Duplicates: true})
	err := walker.Object(func(name string) error {
		value, err := walker.Value()
		if err != nil {
			return err
		}
		offset := walker.Position() - int64(len(value))
		members = append(members, member{name, bytes.Clone(value), offset})
		return nil
	})
	return members, err == nil
}

// standardFulcio returns the "fulcio" of a requirement without extension fields.
func standardFulcio(members []member) ([]byte, error) {
	var identity fulcio.Identity
	var subjects []string
	standard := make([][]byte, 0, len(members))
	offsets := make(map[string]int64, len(members))
	for _, member := range members {
		if _, twice := offsets[member.name]; twice {
			return nil, &offsetError{member.offset, fmt.Errorf("duplicate key %q", member.name)}
		}
		offsets[member.name] = member.offset
		if slices.Contains(fulcio.Subjects(), member.name) {
			subjects = append(subjects, member.name)
		}
		if err := readField(&identity, member); err != nil {
			return nil, &offsetError{member.offset, err}
		}
		if !isExtension(member.name) {
			standard = append(standard, fmt.Appendf(nil, "%q:%s", member.name, member.value))
		}
	}
	if len(subjects) != 1 {
		return nil, fmt.Errorf("it has %s, and must have exactly one of %s",
			counted(subjects), strings.Join(fulcio.Subjects(), ", "))
	}
	if _, err := fulcio.NewSigner(identity); err != nil {
		if of, ok := errors.AsType[*fulcio.FieldError](err); ok {
			return nil, &offsetError{offsets[of.Field], err}
		}
		return nil, err
	}
	if subjects[0] != fulcio.SubjectEmail {
		standard = append(standard, fmt.Appendf(nil, "%q:%q", fulcio.SubjectEmail, placeholder))
	}
	return bytes.Join([][]byte{{'{'}, bytes.Join(standard, []byte{','}), {'}'}}, nil), nil
}

func counted(subjects []string) string {
	if len(subjects) == 0 {
		return "none"
	}
	return strings.Join(subjects, " and ")
}

// readField reads a field of "fulcio" into the identity, if it is part of one.
func readField(identity *fulcio.Identity, from member) error {
	into := identity.Field(from.name)
	switch from.name {
	case "caPath", "caData":
		return nil
	case "oidcIssuer":
		into = &identity.OIDCIssuer
	case fulcio.SubjectEmail:
		into = &identity.SubjectEmail
	}
	switch {
	case into == nil:
		return fmt.Errorf("unknown key %q", from.name)
	case from.value[0] != '"':
		return fmt.Errorf("%q is %s and must be a string", from.name, article(kindOfValue(from.value[0])))
	case !utf8.Valid(from.value):
		return fmt.Errorf("%q is not UTF-8", from.name)
	}
	if err := json.Unmarshal(from.value, into); err != nil {
		return fmt.Errorf("%q: %w", from.name, err)
	}
	if *into == "" {
		return fmt.Errorf("%q is empty", from.name)
	}
	return nil
}

// kindOfValue returns JSON's name for a value by its first byte.
func kindOfValue(first byte) string {
	switch first {
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	default:
		return "number"
	}
}

// within returns the error of a requirement as one of its list.
func within(list []byte, number int, err error) error {
	inner, ok := errors.AsType[*offsetError](err)
	if !ok {
		return err
	}
	walker := strictjson.NewWalker(list, strictjson.Leniency{InvalidUTF8: true, Duplicates: true})
	i, start := 0, int64(0)
	if walker.Array(func() error {
		value, err := walker.Value()
		if i == number {
			start = walker.Position() - int64(len(value))
		}
		i++
		return err
	}) != nil {
		return err
	}
	return &offsetError{start + inner.offset, err}
}
