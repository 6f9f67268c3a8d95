package files_test

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
)

func TestParseReadsADocumentThatIsNoFile(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"key": "alice"})
	document, err := files.Parse([]byte(`{"is": "strict", "keys": ["`+n.path("key")+`"]}`), "a name", n.parser.parse, nil)
	if err != nil {
		t.Fatal(err)
	}
	if document.Name != "a name" || document.Default[0].Kind != "strict+alice" {
		t.Errorf("the document is %+v, with %s", document, document.Default[0].Kind)
	}
}

func TestParseReportsWhatIsWrongWithADocument(t *testing.T) {
	t.Parallel()
	n := newNode(t, nil)
	reported := 0
	panicked := func(*policy.PanicError) { reported++ }
	for _, raw := range []string{"{", `{"is": "panics"}`} {
		if document, err := files.Parse([]byte(raw), "a name", n.parser.parse, panicked); document != nil || err == nil ||
			!strings.HasPrefix(err.Error(), "parsing policy a name") {
			t.Errorf("%s: %+v, %v", raw, document, err)
		}
	}
	if reported != 1 {
		t.Errorf("%d panics are reported", reported)
	}
}
