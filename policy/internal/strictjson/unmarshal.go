package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Unmarshal is [json.Unmarshal] with errors for the author of the JSON: they contain the key and the expected type in
// JSON's terms instead of Go's.
func Unmarshal(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	err = fmt.Errorf("expected %s, found %s", expected(mismatch.Type), mismatch.Value)
	if mismatch.Field != "" {
		err = fmt.Errorf("%q: %w", mismatch.Field, err)
	}
	return err
}

func expected(into reflect.Type) string {
	switch into.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Pointer:
		return expected(into.Elem())
	default:
		return "a number"
	}
}
