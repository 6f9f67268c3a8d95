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
	source := r.source()
	if source.Document != nil {
		return source.Document.Name
	}
	return source.Err.Error()
}

func TestWhetherADirectoryIsBelieved(t *testing.T) {
	here, elsewhere := place{1, 1}, place{1, 2}
	full := map[string]bool{"prod": false}
	tests := map[string]struct {
		before     directory
		held       int
		remembered bool
		found      listing
		want       error
	}{
		"full, at start":                     {found: listing{place: here, namespaces: full}},
		"full, and remembered so":            {found: listing{place: here, namespaces: full}, remembered: true},
		"empty, at start":                    {found: listing{place: here}},
		"empty, but remembered full":         {found: listing{place: here}, remembered: true, want: errNothingThere},
		"emptied while we looked":            {before: directory{known: true, place: here}, held: 1, found: listing{place: here}},
		"emptied, and remembered full":       {before: directory{known: true, place: here}, held: 1, remembered: true, found: listing{place: here}},
		"empty, and another than before":     {before: directory{known: true, place: here}, held: 1, found: listing{place: elsewhere}, want: errOtherPlace},
		"empty elsewhere, and empty before":  {before: directory{known: true, place: here}, found: listing{place: elsewhere}},
		"full, and another than before":      {before: directory{known: true, place: here}, held: 1, found: listing{place: elsewhere, namespaces: full}},
		"not readable, at start":             {found: listing{err: errors.ErrUnsupported}, want: errors.ErrUnsupported},
		"not readable any more":              {before: directory{known: true, place: here}, held: 1, found: listing{err: errors.ErrUnsupported}, want: errors.ErrUnsupported},
		"empty elsewhere, after unreadable":  {before: directory{known: true, place: here, err: errors.ErrUnsupported}, held: 1, found: listing{place: elsewhere}, want: errOtherPlace},
		"readable again":                     {before: directory{known: true, place: here, err: errors.ErrUnsupported}, held: 1, found: listing{place: here, namespaces: full}},
		"empty, remembered, after no answer": {before: directory{err: errors.ErrUnsupported}, remembered: true, found: listing{place: here}, want: errNothingThere},
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
