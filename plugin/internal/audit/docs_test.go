package audit_test

import (
	"bufio"
	"bytes"
	"log/slog"
	"os"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/itchyny/gojq"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

// The page contains a jq filter that finds refusals in the journal, also of audit mode. The test uses gojq instead of
// jq.
func TestTheFilterInTheDocsFindsEveryRefusal(t *testing.T) {
	page, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	filters := regexp.MustCompile(`jq -R '([^']+)'`).FindAllSubmatch(page, -1)
	if len(filters) == 0 {
		t.Fatal("docs/operations.md shows no filter")
	}
	var journal bytes.Buffer
	log := audit.New(slog.New(slog.NewJSONHandler(&journal, nil)))
	denied := policy.Verdict{Outcome: policy.Deny, Reason: policy.Unsigned}
	for _, record := range []audit.Record{
		{Pod: "admitted", Verdict: policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}},
		{Pod: "refused", Verdict: denied},
		{Pod: "refused but for audit mode", Verdict: denied, Mode: audit.Audit},
	} {
		if err := log.Write(t.Context(), record); err != nil {
			t.Fatal(err)
		}
	}
	journal.WriteString("-- Boot 6f1c --\n")
	for _, filter := range filters {
		got := filtered(t, string(filter[1]), journal.Bytes())
		if diff := cmp.Diff([]any{"refused", "refused but for audit mode"}, got); diff != "" {
			t.Errorf("pods that jq -R '%s' finds (-want +got):\n%s", filter[1], diff)
		}
	}
}

// filtered returns the pods of the records that a filter for `jq -R` selects.
func filtered(t *testing.T, filter string, journal []byte) (pods []any) {
	t.Helper()
	query, err := gojq.Parse(filter)
	if err != nil {
		t.Fatalf("%s: %v", filter, err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(journal)); lines.Scan(); {
		results := query.RunWithContext(t.Context(), lines.Text())
		for result, ok := results.Next(); ok; result, ok = results.Next() {
			record, ok := result.(map[string]any)
			if !ok {
				t.Fatalf("%s: %v", filter, result)
			}
			pods = append(pods, record["pod"])
		}
	}
	return pods
}
