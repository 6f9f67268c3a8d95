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
// checks all other fields, and it requires an address. placeholderData stands for certificates and keys that are in a
// trusted root: containers/image reads them only when it judges.
const (
	placeholder     = `"nobody@example.invalid"`
	placeholderData = `"bm9uZQ=="`
)

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
// Every other field goes to containers/image as it is, so that it is exactly as strict as without the extensions.
func withoutExtensions(raw []byte) (rest []byte, names []string, err error) {
	members, ok := readMembers(raw)
	if !ok {
		return raw, nil, nil
	}
	rooted, names, err := trustedRootOf(members)
	if err != nil {
		return nil, nil, err
	}
	hashed, err := checkHash(members)
	if err != nil {
		return nil, nil, err
	}
	if hashed {
		names = append(names, hashField)
	}
	if standardIdentity(members) {
		names = append(names, remapExtension)
	}
	section, inner := fulcioOf(members)
	for _, member := range inner {
		if isExtension(member.name) {
			names = append(names, "fulcio."+member.name)
		}
	}
	if len(names) == 0 {
		return raw, nil, nil
	}
	members = slices.DeleteFunc(members, func(m member) bool { return slices.Contains(names, m.name) })
	if section == nil {
		return joinMembers(members), names, nil
	}
	standard, err := standardFulcio(inner, rooted)
	if err != nil {
		err = fmt.Errorf("fulcio: %w", err)
		if inner, ok := errors.AsType[*offsetError](err); ok {
			return nil, nil, &offsetError{section.offset + inner.offset, err}
		}
		return nil, nil, &offsetError{section.offset, err}
	}
	at := slices.IndexFunc(members, func(m member) bool { return m.name == "fulcio" })
	members[at].value = standard
	if rooted {
		members = append(members, member{name: "rekorPublicKeyData", value: []byte(placeholderData)})
	}
	return joinMembers(members), names, nil
}

func isExtension(name string) bool { return new(fulcio.Identity).Field(name) != nil }

// fulcioOf returns the member "fulcio" and its members, if there is exactly one and it is an object.
func fulcioOf(members []member) (section *member, inner []member) {
	for _, one := range members {
		if one.name != "fulcio" {
			continue
		}
		if section != nil {
			return nil, nil
		}
		section = &one
	}
	if section == nil {
		return nil, nil
	}
	inner, ok := readMembers(section.value)
	if !ok {
		return nil, nil
	}
	return section, inner
}

// joinMembers returns an object.
func joinMembers(members []member) []byte {
	joined := make([][]byte, len(members))
	for i, member := range members {
		name, err := json.Marshal(member.name)
		if err != nil {
			panic(fmt.Sprintf("a string that cannot be written as JSON: %v", err))
		}
		joined[i] = slices.Concat(name, []byte{':'}, member.value)
	}
	return slices.Concat([]byte{'{'}, bytes.Join(joined, []byte{','}), []byte{'}'})
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

// standardFulcio returns the "fulcio" of a requirement without extension fields. If it is rooted, a trusted root has
// the certificates.
func standardFulcio(members []member, rooted bool) ([]byte, error) {
	var identity fulcio.Identity
	var subjects []string
	standard := make([]member, 0, len(members)+1)
	offsets := make(map[string]int64, len(members))
	for _, member := range members {
		if _, twice := offsets[member.name]; twice {
			return nil, &offsetError{member.offset, fmt.Errorf("duplicate key %q", member.name)}
		}
		offsets[member.name] = member.offset
		if slices.Contains(fulcio.Subjects(), member.name) {
			subjects = append(subjects, member.name)
		}
		if err := readField(&identity, member, rooted); err != nil {
			return nil, &offsetError{member.offset, err}
		}
		if !isExtension(member.name) {
			standard = append(standard, member)
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
		standard = append(standard, member{name: fulcio.SubjectEmail, value: []byte(placeholder)})
	}
	if rooted {
		standard = append(standard, member{name: "caData", value: []byte(placeholderData)})
	}
	return joinMembers(standard), nil
}

func counted(subjects []string) string {
	if len(subjects) == 0 {
		return "none"
	}
	return strings.Join(subjects, " and ")
}

// readField reads a field of "fulcio" into the identity, if it is part of one.
func readField(identity *fulcio.Identity, from member, rooted bool) error {
	into := identity.Field(from.name)
	switch from.name {
	case "caPath", "caData":
		if rooted {
			return fmt.Errorf("%q: the trusted root has the certificates", from.name)
		}
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
