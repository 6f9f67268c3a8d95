package signature

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/internal/condition"
)

// Fields of an attested requirement. All others are those of sigstoreSigned, with the same meaning.
const (
	predicateTypeField = "predicateType"
	whereField         = "where"
)

const (
	// maxPredicateType limits a predicate type, in bytes. They are URIs.
	maxPredicateType = 512
	// signPredicate is the predicate type of signatures, which are not attestations.
	signPredicate = "https://sigstore.dev/cosign/sign/v1"
)

// parseAttested checks the fields of an attested requirement that sigstoreSigned does not have. It returns the
// sigstoreSigned requirement with the same signers, as containers/image can check it, and the names of extension
// fields.
func parseAttested(object []byte) (standard []byte, names []string, err error) {
	if err := checkAttested(object); err != nil {
		return nil, nil, err
	}
	rest, names, err := withoutExtensions(object)
	if err != nil {
		return nil, nil, err
	}
	members, ok := readMembers(rest)
	if !ok {
		return nil, nil, errors.New("it is not a JSON object")
	}
	standardMembers := make([][]byte, 0, len(members))
	for _, member := range members {
		value := member.value
		switch member.name {
		case predicateTypeField, whereField:
			continue
		case "type":
			value = []byte(`"` + policy.SigstoreSigned + `"`)
		}
		name, err := json.Marshal(member.name)
		if err != nil {
			return nil, nil, fmt.Errorf("writing a name: %w", err)
		}
		standardMembers = append(standardMembers, bytes.Join([][]byte{name, value}, []byte{':'}))
	}
	return bytes.Join([][]byte{{'{'}, bytes.Join(standardMembers, []byte{','}), {'}'}}, nil), names, nil
}

// checkAttested checks the fields of its own.
func checkAttested(object []byte) error {
	members, ok := readMembers(object)
	if !ok {
		return errors.New("it is not a JSON object")
	}
	found := map[string]bool{}
	for _, member := range members {
		if member.name != predicateTypeField && member.name != whereField {
			continue
		}
		if found[member.name] {
			return &offsetError{member.offset, fmt.Errorf("duplicate key %q", member.name)}
		}
		found[member.name] = true
		if err := checkAttestedField(member); err != nil {
			return err
		}
	}
	if !found[predicateTypeField] {
		return &offsetError{0, fmt.Errorf("%q is missing", predicateTypeField)}
	}
	return nil
}

// checkAttestedField checks one of these fields. An error has its position.
func checkAttestedField(of member) error {
	text, err := readText(of)
	if err != nil {
		return err
	}
	if of.name == whereField {
		return checkWhere(of, text)
	}
	if err := checkPredicateType(text); err != nil {
		return &offsetError{of.offset, fmt.Errorf("%s: %w", of.name, err)}
	}
	return nil
}

// readText reads a member that is a string.
func readText(from member) (text string, err error) {
	switch {
	case from.value[0] != '"':
		err = fmt.Errorf("%q is %s and must be a string", from.name, article(kindOfValue(from.value[0])))
	case !utf8.Valid(from.value):
		err = fmt.Errorf("%q is not UTF-8", from.name)
	default:
		err = json.Unmarshal(from.value, &text)
	}
	if err != nil {
		return "", &offsetError{from.offset, err}
	}
	return text, nil
}

func checkPredicateType(text string) error {
	switch {
	case text == "":
		return errors.New("it is empty")
	case len(text) > maxPredicateType:
		return fmt.Errorf("it has %d bytes, and the maximum is %d", len(text), maxPredicateType)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Errorf("%q contains a character that a URI does not have", text)
	case text == string(policy.AllPredicates):
		return errors.New("there is no predicate type for all")
	case text == signPredicate:
		return errors.New("this is the predicate type of signatures: use sigstoreSigned")
	default:
		return nil
	}
}

// checkWhere compiles a condition. Its error has the position in the document.
func checkWhere(from member, expression string) error {
	_, err := condition.Compile(expression)
	if err == nil {
		return nil
	}
	offset := from.offset
	if at, ok := errors.AsType[*condition.Error](err); ok {
		offset += offsetIn(from.value, expression, at)
	}
	return &offsetError{offset, fmt.Errorf("%s: %w", whereField, err)}
}

// offsetIn returns the offset in a string in JSON of a position in its value.
func offsetIn(raw []byte, value string, at *condition.Error) int64 {
	lines := strings.SplitAfter(value, "\n")
	characters := at.Column - 1
	for _, line := range lines[:min(at.Line-1, len(lines))] {
		characters += utf8.RuneCountInString(line)
	}
	// The first byte is the quotation mark.
	offset := 1
	for ; characters > 0 && offset < len(raw)-1; characters-- {
		offset += escapedLength(raw[offset:])
	}
	return int64(offset)
}

// escapedLength returns how many bytes the first character of a string in JSON has.
func escapedLength(raw []byte) int {
	const escaped, surrogates = len(`\u0000`), len(`\u0000\u0000`)
	if raw[0] != '\\' {
		_, size := utf8.DecodeRune(raw)
		return size
	}
	if len(raw) < escaped || raw[1] != 'u' {
		return len(`\n`)
	}
	high := bytes.ToLower(raw[2:4])
	if len(raw) >= surrogates && high[0] == 'd' && high[1] >= '8' && high[1] < 'c' {
		return surrogates
	}
	return escaped
}

// validateAttested is a [policy.ValidateFunc]. Attestations name repositories without a tag, so that unlike in
// sigstoreSigned a missing signedIdentity is matchRepository.
func validateAttested(raw []byte, read func(path string) ([]byte, error)) ([]byte, error) {
	raw, err := validateSigstoreSigned(raw, read)
	if err != nil {
		return nil, err
	}
	var object fields
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("reading the requirement: %w", err)
	}
	if object["signedIdentity"] != nil {
		return raw, nil
	}
	object["signedIdentity"] = json.RawMessage(`{"type":"matchRepository"}`)
	return json.Marshal(object)
}
