package audit_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/internal/audit"
)

func TestParseReadsRecordsAndNothingElse(t *testing.T) {
	for _, kind := range audit.Schema() {
		raw, err := os.ReadFile(filepath.Join("testdata", kind.Message+".json"))
		if err != nil {
			t.Fatal(err)
		}
		entry, ok := audit.Parse(raw)
		if !ok || entry.Message != kind.Message || entry.Namespace != "prod" || entry.Schema != audit.SchemaVersion {
			t.Errorf("%s: read %+v, %t", kind.Message, entry, ok)
		}
		if !bytes.Equal(entry.Line, bytes.TrimSuffix(raw, []byte("\n"))) {
			t.Errorf("the line became %s", entry.Line)
		}
	}
	for name, line := range map[string]string{
		"empty":                    "",
		"a line break":             "\n",
		"what systemd reports":     "Started countersign.service",
		"a part of a record":       `{"time":"2026-11-22T10:00:00Z","level":"INFO","msg":"decision","outc`,
		"another line of the log":  `{"time":"2026-11-22T10:00:00Z","level":"INFO","msg":"starting"}`,
		"a decision of no schema":  `{"msg":"decision"}`,
		"another message":          `{"msg":"decisions","schema":1}`,
		"another type":             `{"msg":"decision","schema":"1"}`,
		"a list":                   `[{"msg":"decision","schema":1}]`,
		"two records in one line":  `{"msg":"decision","schema":1}{"msg":"decision","schema":1}`,
		"the number of a decision": "1",
	} {
		if entry, ok := audit.Parse([]byte(line)); ok {
			t.Errorf("%s is read as a record: %+v", name, entry)
		}
	}
	if _, ok := audit.Parse([]byte(`{"msg":"decision","schema":7,"new":{}}`)); !ok {
		t.Error("a record of a newer schema is not read")
	}
}

func TestRecordsAsTextAreRecognised(t *testing.T) {
	for message, write := range samples() {
		var log bytes.Buffer
		if err := write(t, audit.New(slog.New(slog.NewTextHandler(&log, nil)))); err != nil {
			t.Fatal(err)
		}
		if !audit.IsText(log.Bytes()) {
			t.Errorf("%s is not recognised: %s", message, &log)
		}
	}
	for _, line := range []string{"", "time=x msg=starting", `time=x msg="no decision"`, "msg=decision outcome=deny"} {
		if audit.IsText([]byte(line)) {
			t.Errorf("%q is recognised", line)
		}
	}
}

func TestAFilterSelects(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	denied := audit.Entry{Time: at, Outcome: "deny", Namespace: "prod", Line: []byte(`{"pod":"web-1"}`)}
	audited := audit.Entry{Time: at, Outcome: "admit", WouldDeny: true, Namespace: "dev"}
	admitted := audit.Entry{Time: at, Outcome: "admit"}
	for name, test := range map[string]struct {
		filter audit.Filter
		want   [3]bool
	}{
		"everything":                  {audit.Filter{}, [3]bool{true, true, true}},
		"refusals, also in audit":     {audit.Filter{Denied: true}, [3]bool{true, true, false}},
		"a namespace":                 {audit.Filter{Namespace: "prod"}, [3]bool{true, false, false}},
		"since the time":              {audit.Filter{Since: at}, [3]bool{true, true, true}},
		"since a later time":          {audit.Filter{Since: at.Add(1)}, [3]bool{}},
		"records that mention a text": {audit.Filter{Mention: "web-1"}, [3]bool{true, false, false}},
		"refusals of one namespace":   {audit.Filter{Denied: true, Namespace: "dev"}, [3]bool{false, true, false}},
	} {
		for i, entry := range []audit.Entry{denied, audited, admitted} {
			if got := test.filter.Selects(entry); got != test.want[i] {
				t.Errorf("%s: entry %d is selected: %t", name, i, got)
			}
		}
	}
}
