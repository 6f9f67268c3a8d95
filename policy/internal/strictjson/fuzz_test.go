package strictjson_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy/internal/strictjson"
)

// FuzzWalk compares a walker with encoding/json, and the leniencies with each other.
func FuzzWalk(f *testing.F) {
	for _, raw := range []string{
		"", " {} ", "[]", "null", `{"object":{"text":"a\n"},"array":["b"],"number":1,"value":[ 1],"x":{"y":null}}`,
		`{"object":{"x":1,"x":2}}`, `{"x":{"y":1,"y":2}}`, "{\"text\":\"\xff\"}", `{"text":"\ud800"}`, `{"x":1,}`, "{} x",
	} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		everything := strictjson.NewWalker(raw, strictjson.Leniency{InvalidUTF8: true, Duplicates: true})
		err := everything.Object(func(string) error { return everything.Skip() })
		if err == nil {
			err = everything.End("document")
		}
		isObject := json.Valid(raw) && bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{"))
		if (err == nil) != isObject {
			t.Fatalf("error %v, but encoding/json finds an object: %v", err, isObject)
		}
		strict, w, err := walk(string(raw), strictjson.Leniency{})
		if offset := w.Offset(); offset < 0 || offset > int64(len(raw)) {
			t.Errorf("offset %d of %d bytes", offset, len(raw))
		}
		if err != nil {
			return
		}
		for _, lenient := range []strictjson.Leniency{{InvalidUTF8: true}, {DuplicatesInValues: true}, {Duplicates: true}} {
			found, _, err := walk(string(raw), lenient)
			if difference := cmp.Diff(strict, found); difference != "" || err != nil {
				t.Errorf("with %+v: error %v, found (-strict +lenient):\n%s", lenient, err, difference)
			}
		}
	})
}

// FuzzUnmarshal accepts what encoding/json accepts; its errors contain no Go types.
func FuzzUnmarshal(f *testing.F) {
	for _, raw := range []string{`{"names":["a"],"number":1}`, `{"names":[{}]}`, `{"number":70000}`, "{"} {
		f.Add([]byte(raw))
	}
	type document struct {
		Names  []string          `json:"names"`
		Number *int16            `json:"number"`
		Nested map[string][]bool `json:"nested"`
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var got, want document
		err, wantErr := strictjson.Unmarshal(raw, &got), json.Unmarshal(raw, &want)
		if difference := cmp.Diff(want, got); difference != "" || (err == nil) != (wantErr == nil) {
			t.Errorf("error %v, want %v; result (-want +got):\n%s", err, wantErr, difference)
		}
		if err != nil && strings.Contains(err.Error(), "Go ") {
			t.Errorf("the error contains a Go type: %v", err)
		}
	})
}
