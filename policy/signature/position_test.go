package signature_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/signature"
)

// TestErrorsHaveAPositionAndNoGoTypes: the author of the document needs the line.
func TestErrorsHaveAPositionAndNoGoTypes(t *testing.T) {
	for name, test := range map[string]struct{ document, want string }{
		"it ends too soon": {"{\n \"default\": [", "2:14: unexpected EOF within \"/default\""},
		"a comma too many": {"{\"default\": [{\"type\": \"reject\"}],\n}", "1:33: invalid character ','"},
		"no JSON":          {"default: reject", "1:1: "},
		"an array":         {"\n[]", "expected an object, found ["},
		"an unknown key": {
			"{\n \"default\": [{\"type\": \"reject\"}],\n \"defaults\": 1}", "3:12: unknown key \"defaults\"",
		},
		"a key twice": {
			"{\n \"default\": [{\"type\": \"reject\"}],\n \"default\": []}", "3:11: duplicate key \"default\"",
		},
		"no default":               {"{}", "1:1: the default is missing"},
		"more after it":            {"{\"default\": [{\"type\": \"reject\"}]}\n{}", "1:34: there is data after the document"},
		"a list that is a number":  {"{\n \"default\": 5}", "2:11: the default: it is a number and must be an array"},
		"a list that is an object": {"{\n \"default\": {}}", "2:11: the default: it is an object and must be an array"},
		"a requirement that is a string": {
			"{\n \"default\": [\"reject\"]}", "2:11: the default: it is a string and must be an object",
		},
		"a type that is a number": {
			"{\n \"default\": [{\"type\": 5}]}", "2:11: the default: \"type\" is a number and must be a string",
		},
		"an unknown type": {"{\n \"default\": [{\"type\": \"rejcet\"}]}", "2:11: the default: "},
		"a list of a scope": {
			"{\"default\": [{\"type\": \"reject\"}],\n \"transports\": {\"docker\": {\n  \"a.example\": true}}}",
			"3:14: scope \"a.example\" of transport \"docker\": it is a boolean and must be an array",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := signature.NewParser(signature.Kinds(nil)).Parse([]byte(test.document), noFiles)
			position, ok := errors.AsType[*policy.PositionError](err)
			if !ok {
				t.Fatalf("%v is at no place", err)
			}
			said := fmt.Sprintf("%d:%d: %v", position.Line, position.Column, err)
			if !strings.Contains(said, test.want) {
				t.Errorf("the error is %s; want %s", said, test.want)
			}
			for _, ours := range []string{"Go ", "json:", "jsontext", "signature.", "struct"} {
				if strings.Contains(said, ours) {
					t.Errorf("the error is %s", said)
				}
			}
		})
	}
}
