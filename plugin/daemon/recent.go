package daemon

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/countersign/countersign/plugin/internal/audit"
)

// recentMinutes is how far back decisions are counted.
const recentMinutes = 60

// Decisions is how often decisions had an outcome for a reason.
type Decisions struct {
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	// WouldDeny is set if the outcome would have been another one outside of audit mode.
	WouldDeny bool `json:"would_deny"`
	Count     int  `json:"count"`
}

// recent counts the decisions of the last hour.
type recent struct {
	mu sync.Mutex
	// minutes are counts by minute; each is valid for one minute of the clock.
	minutes [recentMinutes]minute
}

// minute has the counts of one minute since 1970.
type minute struct {
	number int64
	counts map[Decisions]int
}

// add counts a record.
func (r *recent) add(record audit.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if record.Stage == audit.Running {
		return // It was counted when it was created.
	}
	number := record.Time.Unix() / 60
	current := &r.minutes[number%recentMinutes]
	if current.number != number {
		*current = minute{number: number, counts: make(map[Decisions]int)}
	}
	key := Decisions{
		Outcome: record.Outcome().String(), Reason: string(record.Verdict.Reason), WouldDeny: record.WouldDeny(),
	}
	current.counts[key]++
}

// lastHour returns the counts of the hour before a time, most frequent first.
func (r *recent) lastHour(now time.Time) []Decisions {
	r.mu.Lock()
	defer r.mu.Unlock()
	sums := make(map[Decisions]int)
	for _, minute := range r.minutes {
		if minute.number > now.Unix()/60-recentMinutes {
			for key, count := range minute.counts {
				sums[key] += count
			}
		}
	}
	found := make([]Decisions, 0, len(sums))
	for key, count := range sums {
		key.Count = count
		found = append(found, key)
	}
	slices.SortFunc(found, func(a, b Decisions) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Outcome, b.Outcome), cmp.Compare(a.Reason, b.Reason))
	})
	return found
}
