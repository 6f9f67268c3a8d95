package fetch

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/registry"
)

// Wanted selects evidence for which a caller waits. Whoever can attach referrers to an image, and not delete those of
// others, can attach so many that the limits leave out the good one. So the referrers beyond the limits are read too if
// a caller waits, and what the caller waits for is found among them, in whatever order the registry lists them.
type Wanted struct {
	// Checks identify what callers wait for.
	Checks []string
	// Meets reports whether a file is what one of them waits for.
	Meets func(format.File) bool
}

const (
	// maxScreened is how many referrers are remembered that were read for callers, and maxChecks for how many checks each
	// of them.
	maxScreened = 2 * maxListed
	maxChecks   = 32
)

// screenedKey identifies a referrer of an image.
type screenedKey struct{ subject, referrer digest.Digest }

// screened tells for which checks a referrer has been read, and whether it could not be read the last time.
type screened struct {
	checks []uint64
	failed bool
}

// readWanted reads referrers beyond the limits, and adds those of their files that are wanted. It reads a bounded
// number of them: the next fetch continues with the others.
func (r *bundleReader) readWanted(ctx context.Context, rest []ocispec.Descriptor) {
	r.beyond = len(rest)
	if r.wanted == nil {
		r.unseen = len(rest)
		return
	}
	rest = r.notScreened(rest)
	turn := rest[:min(len(rest), maxReferrers)]
	r.unseen = len(rest)
	request := *r.request
	one := &bundleReader{
		hostRequest: &hostRequest{request: &request, host: r.host}, from: r.from, seen: r.seen,
	}
	for i, listed := range turn {
		one.into, one.payloads, request.room = &Content{}, map[digest.Digest][]byte{}, format.MaxTotal
		request.attestationRoom = format.MaxTotal
		if i%readAhead == 0 {
			one.readAhead(ctx, turn[i:min(len(turn), i+readAhead)])
		}
		err := one.readOne(ctx, listed)
		bad, ok := errors.AsType[*registry.ContentError](err)
		if err != nil && !ok {
			// The registry fails, or the time is over. What was found counts.
			return
		}
		for _, file := range one.into.Files {
			if r.wanted.Meets(file) {
				r.into.Wanted = append(r.into.Wanted, file)
			}
		}
		failed := bad != nil && !bad.Permanent
		r.remember(listed, failed)
		if !failed {
			r.unseen--
		}
	}
}

// notScreened returns the referrers that have not been read for all checks: first those that have been read for the
// fewest, so that a new check does not delay what others wait for, and last those that could not be read.
func (r *bundleReader) notScreened(list []ocispec.Descriptor) []ocispec.Descriptor {
	type candidate struct {
		listed ocispec.Descriptor
		rank   int
	}
	var candidates []candidate
	for _, listed := range list {
		known, _ := r.fetcher.screened.Get(r.screenedKey(listed))
		done := 0
		for _, check := range r.checks() {
			if slices.Contains(known.checks, check) {
				done++
			}
		}
		if done == len(r.wanted.Checks) {
			continue
		}
		rank := done
		if known.failed {
			rank += len(r.wanted.Checks)
		}
		candidates = append(candidates, candidate{listed, rank})
	}
	slices.SortStableFunc(candidates, func(a, b candidate) int { return cmp.Compare(a.rank, b.rank) })
	ordered := make([]ocispec.Descriptor, 0, len(candidates))
	for _, c := range candidates {
		ordered = append(ordered, c.listed)
	}
	return ordered
}

// remember records that a referrer has been read for all checks, or that it could not be read.
func (r *bundleReader) remember(listed ocispec.Descriptor, failed bool) {
	key := r.screenedKey(listed)
	known, _ := r.fetcher.screened.Get(key)
	if failed {
		r.fetcher.screened.Add(key, screened{checks: known.checks, failed: true}, 0)
		return
	}
	checks := slices.Clone(r.checks())
	for _, check := range known.checks {
		if !slices.Contains(checks, check) && len(checks) < maxChecks {
			checks = append(checks, check)
		}
	}
	r.fetcher.screened.Add(key, screened{checks: checks}, 0)
}

// checks returns the hashes of what identifies the checks.
func (r *bundleReader) checks() []uint64 {
	if r.hashes == nil {
		for _, check := range r.wanted.Checks {
			r.hashes = append(r.hashes, maphash.String(r.fetcher.seed, check))
		}
	}
	return r.hashes
}

func (r *bundleReader) screenedKey(listed ocispec.Descriptor) screenedKey {
	return screenedKey{subject: r.subject.Digest(), referrer: listed.Digest}
}
