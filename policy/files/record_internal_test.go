package files

import (
	"errors"
	"testing"
	"time"

	"github.com/countersign/countersign/policy"
)

func TestARecordAfterChecks(t *testing.T) {
	one, two := &policy.Document{Name: "one"}, &policy.Document{Name: "two"}
	broken, absent := errors.New("broken"), errors.New("cannot be read")
	type at struct {
		after time.Duration // Since the check before.
		check fileCheck
		// What the record then gives to a set, or "dropped", and whether that is news.
		want    string
		changed bool
	}
	tests := map[string][]at{
		"a good document": {
			{check: fileCheck{state: parsed, document: one}, want: "one", changed: true},
			{check: fileCheck{state: unchanged}, want: "one"},
			{check: fileCheck{state: same}, want: "one"},
			{check: fileCheck{state: parsed, document: two}, want: "two", changed: true},
		},
		"a broken document that is corrected": {
			{check: fileCheck{state: parsed, err: broken}, want: "broken", changed: true},
			{check: fileCheck{state: same}, want: "broken"},
			{check: fileCheck{state: parsed, document: one}, want: "one", changed: true},
		},
		"a good document that becomes invalid stays in force": {
			{check: fileCheck{state: parsed, document: one}, want: "one", changed: true},
			{check: fileCheck{state: parsed, err: broken}, want: "one"},
			{check: fileCheck{state: same}, want: "one"},
			{check: fileCheck{err: absent}, want: "one"},
			{check: fileCheck{state: parsed, document: two}, want: "two", changed: true},
		},
		"a broken document that cannot be read either, and then again": {
			{check: fileCheck{state: parsed, err: broken}, want: "broken", changed: true},
			{check: fileCheck{err: absent}, want: "cannot be read", changed: true},
			{check: fileCheck{state: same}, want: "broken", changed: true},
		},
		"a document that was never read": {
			{check: fileCheck{err: absent}, want: "cannot be read", changed: true},
			{check: fileCheck{err: absent}, want: "cannot be read"},
			{check: fileCheck{state: parsed, document: one}, want: "one", changed: true},
		},
		"a document that is missing for less than a second": {
			{check: fileCheck{state: parsed, document: one}, want: "one", changed: true},
			{check: fileCheck{state: missing}, want: "one"},
			{after: deletionDelay - 1, check: fileCheck{state: missing}, want: "one"},
			{after: 1, check: fileCheck{state: parsed, document: two}, want: "two", changed: true},
		},
		"a document that is missing for a second": {
			{check: fileCheck{state: parsed, document: one}, want: "one", changed: true},
			{after: time.Hour, check: fileCheck{state: missing}, want: "one"},
			{after: deletionDelay, check: fileCheck{state: missing}, want: "dropped", changed: true},
		},
		"a document that comes and goes": {
			{check: fileCheck{state: parsed, document: one}, want: "one", changed: true},
			{check: fileCheck{state: missing}, want: "one"},
			{after: deletionDelay - 1, check: fileCheck{state: unchanged}, want: "one"},
			{after: 2, check: fileCheck{state: missing}, want: "one"},
			{after: deletionDelay - 1, check: fileCheck{state: missing}, want: "one"},
			{after: 1, check: fileCheck{state: missing}, want: "dropped", changed: true},
		},
		"a document that cannot be read is not missing": {
			{check: fileCheck{state: parsed, document: one}, want: "one", changed: true},
			{check: fileCheck{state: missing}, want: "one"},
			{after: deletionDelay, check: fileCheck{err: absent}, want: "one"},
			{after: time.Hour, check: fileCheck{err: absent}, want: "one"},
		},
	}
	for name, checks := range tests {
		t.Run(name, func(t *testing.T) {
			record, now := &record{}, time.Unix(1e9, 0)
			for i, step := range checks {
				now = now.Add(step.after)
				next, changed := record.next(step.check, now)
				if got := given(next); got != step.want || changed != step.changed {
					t.Fatalf("check %d: %q, changed: %t; want %q, %t", i+1, got, changed, step.want, step.changed)
				}
				record = next
			}
		})
	}
}

// given says what a record gives to a set.
func given(r *record) string {
	if r == nil {
		return "dropped"
	}
	source := r.source("/policies/prod.json")
	if source.Document != nil {
		return source.Document.Name
	}
	return source.Err.Error()
}

func TestAnEmptyDirectory(t *testing.T) {
	here, elsewhere := directoryID{1, 1}, directoryID{1, 2}
	full := map[string]bool{"prod": false}
	known := directory{known: true, id: here}
	unknown := directory{err: errors.ErrUnsupported}
	lost := directory{known: true, id: here, err: errors.ErrUnsupported}
	nothing, fullThere := listing{id: here}, listing{id: here, namespaces: full}
	nothingElsewhere, fullElsewhere := listing{id: elsewhere}, listing{id: elsewhere, namespaces: full}
	unreadable := listing{err: errors.ErrUnsupported}
	tests := map[string]struct {
		before     directory
		held       int
		remembered bool
		found      listing
		want       error
	}{
		"full, at start":                     {found: fullThere},
		"full, and recorded so":              {found: fullThere, remembered: true},
		"empty, at start":                    {found: nothing},
		"empty, but recorded as full":        {found: nothing, remembered: true, want: errEmptied},
		"emptied while it was known":         {before: known, held: 1, found: nothing},
		"emptied, and recorded as full":      {before: known, held: 1, remembered: true, found: nothing},
		"empty, and another than before":     {before: known, held: 1, found: nothingElsewhere, want: errReplaced},
		"empty elsewhere, and empty before":  {before: known, found: nothingElsewhere},
		"full, and another than before":      {before: known, held: 1, found: fullElsewhere},
		"not readable, at start":             {found: unreadable, want: errors.ErrUnsupported},
		"not readable any more":              {before: known, held: 1, found: unreadable, want: errors.ErrUnsupported},
		"empty elsewhere, after unreadable":  {before: lost, held: 1, found: nothingElsewhere, want: errReplaced},
		"readable again":                     {before: lost, held: 1, found: fullThere},
		"empty, remembered, after no answer": {before: unknown, remembered: true, found: nothing, want: errEmptied},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			next := test.before.next(test.found, test.held, func() bool { return test.remembered })
			if !errors.Is(next.err, test.want) || (test.want == nil) != (next.err == nil) {
				t.Errorf("got %v, want %v", next.err, test.want)
			}
			if next.err == nil && (!next.known || next.id != test.found.id) {
				t.Errorf("%+v does not know the directory that it believes", next)
			}
			if next.err != nil && (next.known != test.before.known || next.id != test.before.id) {
				t.Errorf("%+v forgot what it knew: %+v", next, test.before)
			}
		})
	}
}
