package domain_test

import (
	"testing"

	"github.com/countersign/countersign/policy/internal/domain"
)

func TestWhichEntryIsEvicted(t *testing.T) {
	type table = map[string]domain.Candidate
	for name, test := range map[string]struct {
		table table
		want  string
	}{
		"none of an empty table": {table{}, ""},
		"none that may not be":   {table{"a": {Rank: -1}}, ""},
		"the lowest rank":        {table{"a": {Rank: 1, Used: 1}, "b": {Rank: 0, Used: 2}}, "b"},
		"one of the crowd": {
			table{
				"old": {Domain: "good", Used: 1}, "first": {Domain: "evil", Used: 2}, "second": {Domain: "evil", Used: 3},
			}, "first",
		},
		"the rank before the crowd": {
			table{
				"low": {Domain: "good", Used: 9}, "first": {Rank: 1, Domain: "evil", Used: 2},
				"second": {Rank: 1, Domain: "evil", Used: 3},
			}, "low",
		},
		"the least recently used of equal ones": {table{"a": {Domain: "x", Used: 2}, "b": {Domain: "y", Used: 1}}, "b"},
		"what may not be evicted counts to its crowd": {
			table{"old": {Domain: "good", Used: 1}, "busy": {Rank: -1, Domain: "evil"}, "new": {Domain: "evil", Used: 2}}, "new",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, found := domain.Evict(test.table, func(_ string, c domain.Candidate) domain.Candidate { return c })
			if got != test.want || found != (test.want != "") {
				t.Errorf("%q is evicted (%v), not %q", got, found, test.want)
			}
		})
	}
}
