package files

import (
	"syscall"
	"testing"
	"time"
)

func TestWhenToLookAgain(t *testing.T) {
	const ms = time.Millisecond
	now := time.Unix(1e9, 0)
	tests := map[string]struct {
		result result
		deaf   bool
		want   time.Duration
	}{
		"all is well":                         {want: time.Minute},
		"a document is missing":               {result: result{gone: now.Add(-300 * ms)}, want: 700 * ms},
		"a file was just written":             {result: result{unsettled: true}, want: 200 * ms},
		"a file was just written, and gone":   {result: result{unsettled: true, gone: now.Add(-900 * ms)}, want: 100 * ms},
		"the directory is missing":            {result: result{trouble: true}, want: 5 * time.Second},
		"there are no notifications":          {deaf: true, want: 5 * time.Second},
		"no notifications, a file is missing": {deaf: true, result: result{gone: now}, want: time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := defaultPace().wake(now, test.result, test.deaf).Sub(now); got != test.want {
				t.Errorf("in %s, want %s", got, test.want)
			}
		})
	}
}

func TestWhenToLookAfterHints(t *testing.T) {
	const ms = time.Millisecond
	start := time.Unix(1e9, 0)
	tests := map[string]struct {
		hints []time.Duration
		wake  time.Duration
		want  time.Duration
	}{
		"none": {wake: time.Minute, want: time.Minute},
		"one":  {hints: []time.Duration{0}, wake: time.Minute, want: 100 * ms},
		"several": {
			hints: []time.Duration{0, 50 * ms, 120 * ms}, wake: time.Minute, want: 220 * ms,
		},
		"they do not end": {
			hints: []time.Duration{0, 400 * ms, 950 * ms}, wake: time.Minute, want: 1000 * ms,
		},
		"a missing document's time is sooner": {hints: []time.Duration{0}, wake: 30 * ms, want: 30 * ms},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var h hints
			for _, hint := range test.hints {
				h.add(start.Add(hint))
			}
			if got := defaultPace().due(h, start.Add(test.wake)).Sub(start); got != test.want {
				t.Errorf("after %s, want %s", got, test.want)
			}
		})
	}
}

func TestWhetherTheTimesOfAFileVouchForItsContents(t *testing.T) {
	now := time.Unix(1e9, 0)
	file := func(changed time.Time) identity {
		return identity{inode: 7, changed: syscall.NsecToTimespec(changed.UnixNano())}
	}
	tests := map[string]struct {
		before  sighting
		changed time.Time
		want    bool
	}{
		"changed a minute before it was read": {changed: now.Add(-time.Minute), want: true},
		"changed when it was read":            {changed: now},
		"changed in the future":               {changed: now.Add(time.Hour)},
		"changed in the future, but known for a while": {
			before:  sighting{identity: file(now.Add(time.Hour)), first: now.Add(-settleByWait)},
			changed: now.Add(time.Hour), want: true,
		},
		"another was known for a while": {
			before: sighting{identity: file(now.Add(-time.Hour)), first: now.Add(-time.Hour)}, changed: now,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			id := file(test.changed)
			if got := test.before.sight(id, nil, now).vouches(id); got != test.want {
				t.Errorf("it vouches: %t, want %t", got, test.want)
			}
		})
	}
	if (sighting{settled: true}).vouches(identity{}) {
		t.Error("a file of which nothing is known is taken for unchanged")
	}
}
