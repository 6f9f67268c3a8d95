package strictjson_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy/internal/strictjson"
)

// walk describes an object by the names of its members, which may be objects, arrays, strings, or anything else.
func walk(raw string, lenient strictjson.Leniency) (found []string, w *strictjson.Walker, err error) {
	w = strictjson.NewWalker([]byte(raw), lenient)
	var member func(name string) error
	member = func(name string) error {
		switch name {
		case "object":
			return w.Object(member)
		case "array":
			return w.Array(func() error {
				text, err := w.Text()
				found = append(found, "element "+text)
				return err
			})
		case "text":
			text, err := w.Text()
			found = append(found, "text "+text)
			return err
		case "number":
			var number int
			err := w.Decode(&number)
			found = append(found, fmt.Sprint("number ", number))
			return err
		case "value":
			value, err := w.Value()
			found = append(found, "value "+string(value))
			return err
		default:
			found = append(found, "skipped "+name)
			return w.Skip()
		}
	}
	if err := w.Object(member); err != nil {
		return found, w, err
	}
	return found, w, w.End("document")
}

func TestWalk(t *testing.T) {
	tests := map[string]struct {
		raw     string
		lenient strictjson.Leniency
		want    []string
		err     string
	}{
		"an empty object": {raw: " {} "},
		"members of all kinds": {
			raw: `{"object":{"text":"a\n"},"array":["b","c"],"number":1,"value":[ 1],"x":{"y":null}}`,
			want: []string{
				"text a\n", "element b", "element c", "number 1", "value [ 1]", "skipped x",
			},
		},
		"names differ by case": {raw: `{"Text":1,"text":"a"}`, want: []string{"skipped Text", "text a"}},
		"nothing":              {raw: "", err: "EOF"},
		"an array":             {raw: "[]", err: "expected an object, found ["},
		"a member is not an object": {
			raw: `{"object":null}`, err: "expected an object, found null",
		},
		"a member is not an array": {raw: `{"array":{}}`, err: "expected an array, found {"},
		"a member is not a string": {raw: `{"text":1}`, want: []string{"text "}, err: "expected a string, found number"},
		"an element is a number": {
			raw: `{"array":[1]}`, want: []string{"element "}, err: "expected a string, found number",
		},
		"the object has no end":  {raw: `{"x":1`, want: []string{"skipped x"}, err: "EOF"},
		"an array has no end":    {raw: `{"array":["a"`, want: []string{"element a", "element "}, err: "EOF"},
		"a comma is left over":   {raw: `{"x":1,}`, want: []string{"skipped x"}, err: "invalid character"},
		"data after the end":     {raw: "{}{}", err: "there is data after the document"},
		"a name twice":           {raw: `{"x":1,"x":2}`, want: []string{"skipped x"}, err: "duplicate"},
		"a name twice, escaped":  {raw: `{"x":1,"\u0078":2}`, want: []string{"skipped x"}, err: "duplicate"},
		"a name twice, deeper":   {raw: `{"x":{"y":1,"y":2}}`, want: []string{"skipped x"}, err: "duplicate"},
		"bytes that are not UTF": {raw: "{\"x\":\"\xff\"}", want: []string{"skipped x"}, err: "invalid UTF-8"},
		"bytes that are not UTF are accepted": {
			raw: "{\"text\":\"\xff\"}", lenient: strictjson.Leniency{InvalidUTF8: true}, want: []string{"text \uFFFD"},
		},
		"names that are not UTF are the same": {
			raw: "{\"\xff\":1,\"\xfe\":1}", lenient: strictjson.Leniency{InvalidUTF8: true, DuplicatesInValues: true},
			want: []string{"skipped \uFFFD"}, err: "duplicate key \"\uFFFD\"",
		},
		"names that are not UTF are the same to the decoder": {
			raw: "{\"\xff\":1,\"\xfe\":1}", lenient: strictjson.Leniency{InvalidUTF8: true},
			want: []string{"skipped \uFFFD"}, err: "duplicate",
		},
		"duplicates in values are accepted": {
			raw: `{"x":{"y":1,"y":2}}`, lenient: strictjson.Leniency{DuplicatesInValues: true}, want: []string{"skipped x"},
		},
		"duplicates in values are accepted, but not elsewhere": {
			raw: `{"object":{"x":1,"x":2}}`, lenient: strictjson.Leniency{DuplicatesInValues: true},
			want: []string{"skipped x"}, err: `duplicate key "x"`,
		},
		"duplicates are the caller's": {
			raw: `{"x":1,"x":2}`, lenient: strictjson.Leniency{Duplicates: true}, want: []string{"skipped x", "skipped x"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found, _, err := walk(test.raw, test.lenient)
			if difference := cmp.Diff(test.want, found); difference != "" {
				t.Errorf("found (-want +got):\n%s", difference)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
		})
	}
}

func TestOffset(t *testing.T) {
	tests := map[string]struct {
		raw  string
		want int64
	}{
		"before the first name":    {`[]`, 0},
		"at a value":               {`{"text": 1}`, 7},
		"at a value that is below": {`{"object": {"text": 1}}`, 18},
		"at a name that is twice":  {`{"x": 1, "x": 1}`, 12},
		"at the end":               {`{} x`, 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, w, err := walk(test.raw, strictjson.Leniency{DuplicatesInValues: true})
			if err == nil || w.Offset() != test.want {
				t.Errorf("offset %d, error %v; want %d and an error", w.Offset(), err, test.want)
			}
		})
	}
}
