package domain

// Candidate is what determines whether an entry of a full table is evicted.
type Candidate struct {
	// Rank is compared first: the lowest is evicted. An entry of a negative rank is not.
	Rank int
	// Domain is compared next: an entry of the domain with the most entries is evicted, so that names below one domain
	// replace each other.
	Domain string
	// Used is compared last: the entry with the lowest value is evicted.
	Used uint64
}

// Evict returns which entry of a table to evict, and false if none may be. A tenant can evict at most as many entries
// as it adds, and none with a higher rank than its own.
func Evict[K comparable, V any](table map[K]V, candidate func(K, V) Candidate) (evicted K, found bool) {
	crowds := map[string]int{}
	for key, value := range table {
		crowds[candidate(key, value).Domain]++
	}
	var worst Candidate
	for key, value := range table {
		c := candidate(key, value)
		if c.Rank < 0 || found && !c.before(worst, crowds) {
			continue
		}
		evicted, worst, found = key, c, true
	}
	return evicted, found
}

func (c Candidate) before(other Candidate, crowds map[string]int) bool {
	switch {
	case c.Rank != other.Rank:
		return c.Rank < other.Rank
	case crowds[c.Domain] != crowds[other.Domain]:
		return crowds[c.Domain] > crowds[other.Domain]
	default:
		return c.Used < other.Used
	}
}
