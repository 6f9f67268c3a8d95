//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"slices"
	"strings"
	"time"
)

// options are what to do.
type options struct {
	// faults are the beginnings of the names of faults; empty: all.
	faults []string
	tries  int
	// names is how many registries the attacker invents.
	names int
	// duration is how long a soak takes; zero: it is none.
	duration time.Duration
	seed     int64
	// isTimed reports whether a time limit that is exceeded is a failure. A test ignores the time limits.
	isTimed bool
	// out receives the table, and log the progress.
	out, log io.Writer
}

// errBounds reports that a bound is not held.
var errBounds = errors.New("bounds are not held")

func run(ctx context.Context, o options) (err error) {
	chosen := slices.DeleteFunc(faults(), func(f fault) bool {
		return len(o.faults) > 0 && !slices.ContainsFunc(o.faults, func(prefix string) bool {
			return strings.HasPrefix(f.name, strings.TrimSpace(prefix))
		})
	})
	if len(chosen) == 0 {
		return errors.New("no fault has such a name")
	}
	fmt.Fprintln(o.log, "chaos: booting a node")
	l, err := newLab(ctx, o.names, o.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	var rows []*row
	if o.duration > 0 {
		rows, err = soak(ctx, l, chosen, o)
	} else {
		rows, err = each(ctx, l, chosen, o)
	}
	return errors.Join(err, report(o.out, rows, o.isTimed))
}

// each makes one row of each fault.
func each(ctx context.Context, l *lab, faults []fault, o options) (rows []*row, err error) {
	for _, f := range faults {
		r := newRow(f, o.tries)
		rows = append(rows, r)
		fmt.Fprintf(o.log, "chaos: %s\n", f.name)
		if err := errors.Join(r.repeat(ctx, l), r.explain(l)); err != nil {
			return rows, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return rows, nil
}

// soak repeats the faults in a random order until its time is over.
func soak(ctx context.Context, l *lab, faults []fault, o options) (rows []*row, err error) {
	fmt.Fprintf(o.log, "chaos: soaking for %s with seed %d\n", o.duration, o.seed)
	random := rand.New(rand.NewSource(o.seed)) //nolint:gosec // It is not a secret.
	end := time.Now().Add(o.duration)
	for _, f := range faults {
		rows = append(rows, newRow(f, 0))
	}
	for time.Now().Before(end) {
		for _, at := range random.Perm(len(rows)) {
			if !time.Now().Before(end) {
				break
			}
			if err := errors.Join(rows[at].once(ctx, l), rows[at].explain(l)); err != nil {
				return rows, fmt.Errorf("%s: %w", rows[at].fault.name, err)
			}
		}
	}
	rows = slices.DeleteFunc(rows, func(r *row) bool { return r.times == 0 })
	return rows, l.daemon.checkGrowth(ctx)
}
