package signature

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign/countersign/policy"
)

// offsetError is an error at an offset in bytes within a list of requirements.
type offsetError struct {
	offset int64
	err    error
}

func (e *offsetError) Error() string { return e.err.Error() }

func (e *offsetError) Unwrap() error { return e.err }

// at returns an error with its position in a document: that of the syntax error, or else the offset.
func at(raw []byte, offset int64, err error) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset = syntax.ByteOffset
		err = fmt.Errorf("%w", syntax.Err)
		if syntax.JSONPointer != "" {
			err = fmt.Errorf("%w within %q", syntax.Err, syntax.JSONPointer)
		}
	}
	offset = min(max(offset, 0), int64(len(raw)))
	before := raw[:offset]
	return &policy.PositionError{
		Line:   bytes.Count(before, []byte{'\n'}) + 1,
		Column: len(before) - bytes.LastIndexByte(before, '\n'),
		Err:    err,
	}
}

// wrongShape matches encoding/json's UnmarshalTypeError, of which containers/image returns only the text.
const wrongShape = `json: cannot unmarshal (\w+) into Go (?:value|struct field \w+\.(\S+)) of type (\S+)`

// plain rewrites errors about JSON of the wrong type without Go's type names.
func plain(err error) error {
	found := regexp.MustCompile(wrongShape).FindStringSubmatch(err.Error())
	if found == nil {
		return err
	}
	what := "it"
	if found[2] != "" {
		what = strconv.Quote(found[2])
	}
	return fmt.Errorf("%s is %s and must be %s", what, article(found[1]), article(kindOf(found[3])))
}

// kindOf returns JSON's name for a Go type of this library or of containers/image.
func kindOf(goType string) string {
	switch {
	case goType == "[]uint8", goType == "string", strings.HasSuffix(goType, "Identifier"),
		strings.HasSuffix(goType, "KeyType"):
		return "string"
	case strings.HasPrefix(goType, "[]"):
		return "array"
	case goType == "bool":
		return "boolean"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"), strings.HasPrefix(goType, "float"):
		return "number"
	default:
		return "object"
	}
}

func article(noun string) string {
	switch noun {
	case "bool":
		return "a boolean"
	case "array", "object":
		return "an " + noun
	default:
		return "a " + noun
	}
}
