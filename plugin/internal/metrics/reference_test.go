package metrics_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/internal/metrics"
)

func TestTheReferenceNamesEveryMetricAndCheckAndNoOther(t *testing.T) {
	raw, err := os.ReadFile("../../../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(raw), -1) {
		written[row[1]] = true
	}
	m := metrics.New(nil)
	m.Enforcing(true, nil)
	m.Panicked("a part")
	m.Register(metrics.Gauges{PolicyGood: time.Now, EvidenceBytes: func() int64 { return 1 }})
	families, err := m.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "countersign_") {
			names = append(names, family.GetName())
		}
	}
	for _, check := range m.Health().Checks {
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
