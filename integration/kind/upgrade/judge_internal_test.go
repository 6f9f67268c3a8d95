package main

import (
	"strings"
	"testing"
)

func TestAWrongNumberFails(t *testing.T) {
	right := func() row {
		return row{
			step: step{what: "an upgrade", starts: 1}, starts: map[string]int{"a": 1, "b": 1},
			pods: map[string]int{signed: 8, unsigned: 8}, ran: map[string]int{signed: 8}, refused: 8,
		}
	}
	if err := judge([]row{right()}); err != nil {
		t.Errorf("judge returned %v", err)
	}
	for name, c := range map[string]struct {
		change func(*row)
		want   string
	}{
		"an unsigned container ran":    {func(r *row) { r.ran[unsigned] = 1 }, "1 unsigned containers ran"},
		"one was created":              {func(r *row) { r.tried.admitted = 1 }, "1 unsigned containers were created"},
		"the daemon admitted one":      {func(r *row) { r.admitted = 1 }, "1 unsigned images were admitted"},
		"a container has no decision":  {func(r *row) { r.unchecked = 1 }, "1 containers run without a decision"},
		"an unsigned pod is undecided": {func(r *row) { r.refused-- }, "1 unsigned pods were not refused"},
		"a signed pod does not run":    {func(r *row) { r.ran[signed]-- }, "1 signed pods do not run"},
		"a signed pod was refused":     {func(r *row) { r.wrong = map[string]int{"no": 3} }, "1 kinds of final refusals"},
		"a daemon was started twice":   {func(r *row) { r.starts["b"]++ }, "1 starts of the daemon too many or too few"},
		"a daemon was not started":     {func(r *row) { r.starts["b"]-- }, "-1 starts of the daemon too many or too few"},
		"there were too few pods":      {func(r *row) { r.pods[signed], r.ran[signed] = 7, 7 }, "1 pods are missing"},
	} {
		t.Run(name, func(t *testing.T) {
			r := right()
			c.change(&r)
			if err := judge([]row{r}); err == nil || !strings.Contains(err.Error(), "an upgrade: "+c.want) {
				t.Errorf("judge returned %v, want %q", err, c.want)
			}
		})
	}
}

func TestOnlyAFinalRefusalIsWrong(t *testing.T) {
	const rejected = `validator "10-countersign" rejected container adjustment, reason: ` +
		"SignatureValidationFailed: shop:signed: "
	for message, want := range map[string]bool{
		rejected + "decision pending (pending)":       false,
		rejected + "the registry (b) (unavailable)":   false,
		rejected + "none was found (unsigned)":        true,
		rejected + "no signature is valid (rejected)": true,
		absent: false,
		"validator plugin 10-countersign failed: ttrpc: closed": false,
	} {
		if got := final(message); got != want {
			t.Errorf("final(%q) is %v", message, got)
		}
	}
}
