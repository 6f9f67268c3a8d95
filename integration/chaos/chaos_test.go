//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
)

// TestAFewFaults runs the program as make chaos does, with two faults and few tries.
func TestAFewFaults(t *testing.T) {
	node.NewTools(t) // Skips the test if there can be no node.
	var table bytes.Buffer
	err := run(t.Context(), options{
		faults: []string{"none", "daemon killed", "registry hostile"}, tries: 40, names: 50, out: &table, log: os.Stderr,
	})
	t.Logf("\n%s", table.String())
	if err != nil {
		t.Error(err)
	}
}

func TestThereIsSuchAFault(t *testing.T) {
	if err := run(t.Context(), options{faults: []string{"no such"}}); err == nil || errors.Is(err, errBounds) {
		t.Errorf("the error is %v", err)
	}
}

// TestRowsThatBreakABound: a table whose bounds cannot be broken shows nothing.
func TestRowsThatBreakABound(t *testing.T) {
	signed, unsigned := &trial{name: "signed", signed: true}, &trial{name: "unsigned"}
	for name, test := range map[string]struct {
		fault fault
		fill  func(*row)
		want  string
	}{
		"nothing is wrong": {fault{}, func(r *row) {
			r.add(&result{trial: signed, answer: admitted})
			r.add(&result{trial: unsigned, answer: refused})
			r.add(&result{trial: signed, answer: refused}) // For example, while the daemon does not run.
			r.recovered(time.Second)
		}, ""},
		"an unsigned image is admitted": {fault{}, func(r *row) {
			r.add(&result{trial: unsigned, answer: admitted})
			r.add(&result{trial: unsigned, answer: refused})
		}, "1 wrong admissions"},
		"a refusal stands": {fault{}, func(r *row) {
			r.add(&result{trial: unsigned, answer: refused})
			r.add(&result{trial: unsigned, answer: refused})
			r.stands(&result{trial: signed, answer: refused})
		}, "1 refusals stand"},
		"a signed image is refused for no reason": {fault{isHarmless: true}, func(r *row) {
			r.add(&result{trial: signed, answer: refused, err: errors.New("no (unsigned)")})
			r.add(&result{trial: signed, answer: refused, err: errors.New("no time (pending)")})
		}, "1 signed images were refused"},
		"it takes as long as without a fault, and two seconds": {fault{}, func(r *row) {
			r.add(&result{trial: unsigned, answer: refused})
			r.add(&result{trial: unsigned, answer: refused})
			r.recovered(2100 * time.Millisecond)
		}, ""},
		"it takes long to recover": {fault{}, func(r *row) {
			r.add(&result{trial: unsigned, answer: refused})
			r.add(&result{trial: unsigned, answer: refused})
			r.recovered(3 * time.Second)
		}, "recovered after 3s"},
		"tries that nobody answered do not count": {fault{}, func(r *row) {
			r.add(&result{trial: unsigned, answer: refused})
			r.add(&result{trial: unsigned, answer: none})
		}, "only 1 tries"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRow(test.fault, 2)
			test.fill(r)
			got := strings.Join(r.broken(bounds{isTimed: true, quiet: 100 * time.Millisecond}), "; ")
			if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
				t.Errorf("broken are %q, want %q", got, test.want)
			}
			quiet := newRow(fault{name: noFault}, 0)
			quiet.recovered(100 * time.Millisecond)
			if err := report(&bytes.Buffer{}, []*row{quiet, r}, true); errors.Is(err, errBounds) != (test.want != "") {
				t.Errorf("the report ends with %v", err)
			}
		})
	}
}
