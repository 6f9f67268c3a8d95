package store

// rank is how much evidence is worth storing: what has a lower rank is evicted first.
type rank int

const (
	// unused is evidence that no decision has used.
	unused rank = iota
	// reducible is evidence of which some met a requirement, and can be reduced to that.
	reducible
	// used is evidence that a decision has used, or that was imported and may not be available again.
	used
	// satisfied is evidence that met a requirement. It is never evicted.
	satisfied
	ranks
)

// usage is what the evidence of a key takes.
type usage struct {
	size int64
	// satisfied is how much of it the files take that met a requirement.
	satisfied int64
	used      bool
	imported  bool
}

func usageOf(r *record, needed bool) usage {
	u := usage{used: needed, imported: !r.Imported.IsZero()}
	u.size, u.satisfied = r.blocks()
	return u
}

func (u usage) rank() rank {
	switch {
	case u.satisfied > 0 && u.satisfied == u.size:
		return satisfied
	case u.satisfied > 0 && !u.imported:
		return reducible
	case u.used || u.imported:
		return used
	default:
		return unused
	}
}
