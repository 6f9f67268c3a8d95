package strictjson_test

import (
	"testing"

	"github.com/countersign/countersign/policy/internal/strictjson"
)

func TestUnmarshalErrorsContainNoGoTypes(t *testing.T) {
	var into struct {
		Names  []string `json:"names"`
		Nested *struct {
			Number  int16           `json:"number"`
			Boolean bool            `json:"boolean"`
			Map     map[string]bool `json:"map"`
		} `json:"nested"`
	}
	tests := map[string]string{
		`{"names":["a"],"nested":{"number":1}}`: "",
		`[]`:                                    "expected an object, found array",
		`{"names":"a"}`:                         `"names": expected an array, found string`,
		`{"names":[{}]}`:                        `"names": expected a string, found object`,
		`{"nested":[]}`:                         `"nested": expected an object, found array`,
		`{"nested":{"number":"1"}}`:             `"nested.number": expected a number, found string`,
		`{"nested":{"number":70000}}`:           `"nested.number": expected a number, found number 70000`,
		`{"nested":{"boolean":1}}`:              `"nested.boolean": expected a boolean, found number`,
		`{"nested":{"map":true}}`:               `"nested.map": expected an object, found bool`,
		`{`:                                     "unexpected end of JSON input",
	}
	for raw, want := range tests {
		got := ""
		if err := strictjson.Unmarshal([]byte(raw), &into); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: error %q, want %q", raw, got, want)
		}
	}
}
