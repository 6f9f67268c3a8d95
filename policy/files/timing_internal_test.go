package files

import (
	"syscall"
	"testing"
	"time"
)

func TestNextCheck(t *testing.T) {
	const ms = time.Millisecond
	now := time.Unix(1e9, 0)
	tests := map[string]struct {
		result      result
		watchBroken bool
		want        time.Duration
	}{
		"all is well":                  {want: time.Minute},
		"a document is missing":        {result: result{missingSince: now.Add(-300 * ms)}, want: 700 * ms},
		"a file was just written":      {result: result{unsettled: true}, want: 200 * ms},
		"just written, missing":        {result: result{unsettled: true, missingSince: now.Add(-900 * ms)}, want: 100 * ms},
		"the directory is missing":     {result: result{retry: true}, want: 5 * time.Second},
		"there are no events":          {watchBroken: true, want: 5 * time.Second},
		"no events, a file is missing": {watchBroken: true, result: result{missingSince: now}, want: time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := defaultTiming().nextCheck(now, test.result, test.watchBroken).Sub(now); got != test.want {
				t.Errorf("in %s, want %s", got, test.want)
			}
		})
	}
}

func TestNextCheckAfterEvents(t *testing.T) {
	const ms = time.Millisecond
	start := time.Unix(1e9, 0)
	tests := map[string]struct {
		events []time.Duration
		wake   time.Duration
		want   time.Duration
	}{
		"none": {wake: time.Minute, want: time.Minute},
		"one":  {events: []time.Duration{0}, wake: time.Minute, want: 100 * ms},
		"several": {
			events: []time.Duration{0, 50 * ms, 120 * ms}, wake: time.Minute, want: 220 * ms,
		},
		"they do not end": {
			events: []time.Duration{0, 400 * ms, 950 * ms}, wake: time.Minute, want: 1000 * ms,
		},
		"a missing document's time is sooner": {events: []time.Duration{0}, wake: 30 * ms, want: 30 * ms},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var h eventTimes
			for _, event := range test.events {
				h.add(start.Add(event))
			}
			if got := defaultTiming().due(h, start.Add(test.wake)).Sub(start); got != test.want {
				t.Errorf("after %s, want %s", got, test.want)
			}
		})
	}
}

func TestAnObservationIsCurrent(t *testing.T) {
	now := time.Unix(1e9, 0)
	file := func(changed time.Time) identity {
		return identity{inode: 7, changed: syscall.NsecToTimespec(changed.UnixNano())}
	}
	tests := map[string]struct {
		before  observation
		changed time.Time
		want    bool
	}{
		"changed a minute before it was read": {changed: now.Add(-time.Minute), want: true},
		"changed when it was read":            {changed: now},
		"changed in the future":               {changed: now.Add(time.Hour)},
		"changed in the future, but known for a while": {
			before:  observation{identity: file(now.Add(time.Hour)), first: now.Add(-settleByWait)},
			changed: now.Add(time.Hour), want: true,
		},
		"another was known for a while": {
			before: observation{identity: file(now.Add(-time.Hour)), first: now.Add(-time.Hour)}, changed: now,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			id := file(test.changed)
			if got := test.before.observe(id, nil, now).isCurrent(id); got != test.want {
				t.Errorf("it vouches: %t, want %t", got, test.want)
			}
		})
	}
	if (observation{settled: true}).isCurrent(identity{}) {
		t.Error("a file of which nothing is known is taken for unchanged")
	}
}
