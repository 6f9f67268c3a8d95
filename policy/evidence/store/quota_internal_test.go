package store

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
)

// itemKey is the key of an item such as "a1", which is the first of registry a.
func itemKey(name string) Key {
	return Key{Manifest: digest.FromString(name), Repository: name[:1] + ".example/app"}
}

// filledQuota has items such as "a1:5", which takes five bytes. Of "a1:5/2", two met a requirement; u: a decision has
// used it, i: it was imported.
func filledQuota(t *testing.T, items string) (q *quota, names map[Key]string) {
	t.Helper()
	q, names = newQuota(), map[Key]string{}
	for item := range strings.FieldsSeq(items) {
		name, amount, _ := strings.Cut(item, ":")
		kind := strings.TrimLeft(amount, "0123456789/")
		u := usage{used: kind == "u", imported: kind == "i"}
		if _, err := fmt.Sscanf(amount+" ", "%d", &u.size); err != nil {
			t.Fatal(err)
		}
		if _, met, ok := strings.Cut(strings.TrimSuffix(amount, kind), "/"); ok {
			if _, err := fmt.Sscan(met, &u.satisfied); err != nil {
				t.Fatal(err)
			}
		}
		q.set(itemKey(name), u)
		names[itemKey(name)] = name
	}
	return q, names
}

func TestRoomIsMade(t *testing.T) {
	const limit = 10
	for name, test := range map[string]struct {
		stored string
		key    string
		size   int64
		ahead  bool // It is not needed yet.
		want   string
		no     bool // It does not suffice.
	}{
		"there is room":                       {stored: "b1:5", key: "a1", size: 5},
		"a byte is missing":                   {stored: "b1:5", key: "a1", size: 6, want: "b1"},
		"as large as the store":               {stored: "b1:5 c1:1", key: "a1", size: 10, want: "b1 c1"},
		"larger than the store":               {stored: "b1:5", key: "a1", size: 11, no: true},
		"what it takes already":               {stored: "a1:5 b1:5", key: "a1", size: 5},
		"more than it takes already":          {stored: "a1:5 b1:5", key: "a1", size: 6, want: "b1"},
		"the registry that takes the most":    {stored: "b1:2 c1:5 d1:3", key: "a1", size: 5, want: "c1"},
		"then the one that takes the next":    {stored: "b1:2 c1:5 d1:3", key: "a1", size: 8, want: "c1 d1"},
		"in all its items":                    {stored: "b1:3 b2:3 c1:4", key: "a1", size: 1, want: "b1"},
		"its own registry, if it is as large": {stored: "a1:2 b1:8", key: "a2", size: 6, want: "a1 b1"},
		"another registry, if it is larger":   {stored: "a1:2 b1:8", key: "a2", size: 5, want: "b1"},
		"its own registry, if it is larger":   {stored: "a1:5 b1:3 c1:1", key: "a2", size: 3, want: "a1"},
		"the least recently used":             {stored: "b1:3 b2:3 b3:4 b1:3", key: "a1", size: 1, want: "b2"},
		"what no decision has used":           {stored: "b1:6u c1:4", key: "a1", size: 1, want: "c1"},
		"then what can be reduced":            {stored: "b1:4u c1:4/1 d1:2", key: "a1", size: 4, want: "d1 c1 reduced"},
		"then what a decision has used":       {stored: "b1:6u c1:4/1", key: "a1", size: 6, want: "c1 reduced b1"},
		"and what was imported":               {stored: "b1:10i", key: "a1", size: 1, want: "b1"},
		"imported, of which some is needed":   {stored: "b1:10/1i", key: "a1", size: 1, want: "b1 reduced"},
		"what met a requirement stays":        {stored: "b1:10/10", key: "a1", size: 1, no: true},
		"ahead, only what is unused":          {stored: "b1:6u c1:4", key: "a1", size: 4, ahead: true, want: "c1"},
		"ahead, nothing that is used":         {stored: "b1:10u", key: "a1", size: 1, ahead: true, no: true},
		"ahead, nothing that was imported":    {stored: "b1:10i", key: "a1", size: 1, ahead: true, no: true},
		"ahead, what can be reduced":          {stored: "b1:10/5", key: "a1", size: 5, ahead: true, want: "b1 reduced"},
	} {
		t.Run(name, func(t *testing.T) {
			q, names := filledQuota(t, test.stored)
			victims, ok := q.evict(itemKey(test.key), test.size, limit, !test.ahead)
			var got []string
			for _, v := range victims {
				got = append(got, names[v.key])
				if v.reduced {
					got = append(got, "reduced")
				}
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" || ok == test.no {
				t.Errorf("it suffices: %v; evicted (-want +got):\n%s", ok, diff)
			}
			var total int64
			for _, i := range q.items {
				total += i.usage.size
			}
			if q.total != total {
				t.Errorf("the total is %d, and the items take %d", q.total, total)
			}
		})
	}
}

func TestAnEmptyQuotaHasNoRegistries(t *testing.T) {
	q, names := filledQuota(t, "a1:1 a2:2u b1:3/3")
	for k := range names {
		q.remove(k)
	}
	if q.total != 0 || len(q.items) != 0 || len(q.hosts) != 0 {
		t.Errorf("%d bytes, %d items and %d registries are left", q.total, len(q.items), len(q.hosts))
	}
	for rank, lists := range q.largest {
		if len(lists) != 0 {
			t.Errorf("%d lists of rank %d are left", len(lists), rank)
		}
	}
}
