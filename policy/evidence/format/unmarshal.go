package format

import (
	"encoding/json"
	"errors"
	"fmt"
)

// unmarshal is [json.Unmarshal] whose errors about JSON of another shape do not contain Go's types.
func unmarshal(raw []byte, into any) error {
	err := json.Unmarshal(raw, into)
	mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	if mismatch.Field == "" {
		return fmt.Errorf("its JSON is of another type: %s", mismatch.Value)
	}
	return fmt.Errorf("%q is of another type: %s", mismatch.Field, mismatch.Value)
}
