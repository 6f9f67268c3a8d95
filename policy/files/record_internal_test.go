package files

import (
	"errors"
	"testing"
	"time"

	"github.com/countersign/countersign/policy"
)

func TestARecordAfterLooks(t *testing.T) {
	one, two := &policy.Document{Name: "one"}, &policy.Document{Name: "two"}
	broken, absent := errors.New("broken"), errors.New("cannot be read")
	type at struct {
		after time.Duration // Since the look before.
		look  look
		// What the record then gives to a set, or "dropped", and whether that is news.
		want    string
		changed bool
	}
	tests := map[string][]at{
		"a good document": {
			{look: look{finding: parsed, document: one}, want: "one", changed: true},
			{look: look{finding: unchanged}, want: "one"},
			{look: look{finding: same}, want: "one"},
			{look: look{finding: parsed, document: two}, want: "two", changed: true},
		},
		"a broken document that is mended": {
			{look: look{finding: parsed, err: broken}, want: "broken", changed: true},
			{look: look{finding: same}, want: "broken"},
			{look: look{finding: parsed, document: one}, want: "one", changed: true},
		},
		"a good document that breaks keeps the good one": {
			{look: look{finding: parsed, document: one}, want: "one", changed: true},
			{look: look{finding: parsed, err: broken}, want: "one"},
			{look: look{finding: same}, want: "one"},
			{look: look{err: absent}, want: "one"},
			{look: look{finding: parsed, document: two}, want: "two", changed: true},
		},
		"a broken document that cannot be read either, and then again": {
			{look: look{finding: parsed, err: broken}, want: "broken", changed: true},
			{look: look{err: absent}, want: "cannot be read", changed: true},
			{look: look{finding: same}, want: "broken", changed: true},
		},
		"a document that was never read": {
			{look: look{err: absent}, want: "cannot be read", changed: true},
			{look: look{err: absent}, want: "cannot be read"},
			{look: look{finding: parsed, document: one}, want: "one", changed: true},
		},
		"a document that is away for less than a second": {
			{look: look{finding: parsed, document: one}, want: "one", changed: true},
			{look: look{finding: missing}, want: "one"},
			{after: away - 1, look: look{finding: missing}, want: "one"},
			{after: 1, look: look{finding: parsed, document: two}, want: "two", changed: true},
		},
		"a document that is away for a second": {
			{look: look{finding: parsed, document: one}, want: "one", changed: true},
			{after: time.Hour, look: look{finding: missing}, want: "one"},
			{after: away, look: look{finding: missing}, want: "dropped", changed: true},
		},
		"a document that comes and goes": {
			{look: look{finding: parsed, document: one}, want: "one", changed: true},
			{look: look{finding: missing}, want: "one"},
			{after: away - 1, look: look{finding: unchanged}, want: "one"},
			{after: 2, look: look{finding: missing}, want: "one"},
			{after: away - 1, look: look{finding: missing}, want: "one"},
			{after: 1, look: look{finding: missing}, want: "dropped", changed: true},
		},
		"a document that cannot be read is not away": {
			{look: look{finding: parsed, document: one}, want: "one", changed: true},
			{look: look{finding: missing}, want: "one"},
			{after: away, look: look{err: absent}, want: "one"},
			{after: time.Hour, look: look{err: absent}, want: "one"},
		},
	}
	for name, looks := range tests {
		t.Run(name, func(t *testing.T) {
			record, now := &record{}, time.Unix(1e9, 0)
			for i, step := range looks {
				now = now.Add(step.after)
				next, changed := record.next(step.look, now)
				if got := given(next); got != step.want || changed != step.changed {
					t.Fatalf("look %d: %q, changed: %t; want %q, %t", i+1, got, changed, step.want, step.changed)
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

func TestWhetherADirectoryIsBelieved(t *testing.T) {
	here, elsewhere := place{1, 1}, place{1, 2}
	full := map[string]bool{"prod": false}
	known := directory{known: true, place: here}
	unknown := directory{err: errors.ErrUnsupported}
	lost := directory{known: true, place: here, err: errors.ErrUnsupported}
	nothing, fullThere := listing{place: here}, listing{place: here, namespaces: full}
	nothingElsewhere, fullElsewhere := listing{place: elsewhere}, listing{place: elsewhere, namespaces: full}
	unreadable := listing{err: errors.ErrUnsupported}
	tests := map[string]struct {
		before     directory
		held       int
		remembered bool
		found      listing
		want       error
	}{
		"full, at start":                     {found: fullThere},
		"full, and remembered so":            {found: fullThere, remembered: true},
		"empty, at start":                    {found: nothing},
		"empty, but remembered full":         {found: nothing, remembered: true, want: errNothingThere},
		"emptied while we looked":            {before: known, held: 1, found: nothing},
		"emptied, and remembered full":       {before: known, held: 1, remembered: true, found: nothing},
		"empty, and another than before":     {before: known, held: 1, found: nothingElsewhere, want: errOtherPlace},
		"empty elsewhere, and empty before":  {before: known, found: nothingElsewhere},
		"full, and another than before":      {before: known, held: 1, found: fullElsewhere},
		"not readable, at start":             {found: unreadable, want: errors.ErrUnsupported},
		"not readable any more":              {before: known, held: 1, found: unreadable, want: errors.ErrUnsupported},
		"empty elsewhere, after unreadable":  {before: lost, held: 1, found: nothingElsewhere, want: errOtherPlace},
		"readable again":                     {before: lost, held: 1, found: fullThere},
		"empty, remembered, after no answer": {before: unknown, remembered: true, found: nothing, want: errNothingThere},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			next := test.before.next(test.found, test.held, func() bool { return test.remembered })
			if !errors.Is(next.err, test.want) || (test.want == nil) != (next.err == nil) {
				t.Errorf("got %v, want %v", next.err, test.want)
			}
			if next.err == nil && (!next.known || next.place != test.found.place) {
				t.Errorf("%+v does not know the directory that it believes", next)
			}
			if next.err != nil && (next.known != test.before.known || next.place != test.before.place) {
				t.Errorf("%+v forgot what it knew: %+v", next, test.before)
			}
		})
	}
}
