package metrics_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/internal/metrics"
)

func TestTheReferenceNamesEveryCheckAndNoOther(t *testing.T) {
	raw, err := os.ReadFile("../../../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	_, checks, _ := strings.Cut(string(raw), "## Health")
	checks, _, _ = strings.Cut(checks, "## Metrics")
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(checks, -1) {
		written[row[1]] = true
	}
	var names []string
	for _, check := range metrics.New(nil).Health().Checks {
		names = append(names, string(check.Check))
	}
	for _, name := range names {
		if !written[name] {
			t.Errorf("docs/reference.md does not explain %s", name)
		}
		delete(written, name)
	}
	for name := range written {
		t.Errorf("docs/reference.md explains %s, which does not exist", name)
	}
}
