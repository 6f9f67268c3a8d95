package policy

import "context"

// audited decides twice, if a requirement is only audited: as if all were enforced, and if that denies, by those that
// are. Both decisions are complete, so that the report says what enforcing would do.
func (d *decision) audited(ctx context.Context) admission {
	steps := d.recorder.count()
	found := d.decide(ctx)
	if found.verdict.Admitted() || !d.audits {
		return found
	}
	enforced := *d
	enforced.onlyEnforced, enforced.recorder, enforced.unknown = true, nil, 0
	actual := enforced.decide(ctx)
	d.unknown = max(d.unknown, enforced.unknown)
	if actual.verdict.Admitted() {
		would := found.verdict
		actual.verdict.WouldDeny = &would
		return actual
	}
	if d.recorder != nil { // The steps are those of the verdict.
		d.recorder.drop(steps)
		d.recorder.explained.OnlyEnforced = true
		enforced.recorder = d.recorder
		actual = enforced.decide(ctx)
	}
	return actual
}
