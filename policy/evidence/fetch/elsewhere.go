package fetch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy/evidence/format"
)

// elsewhere returns the repository that has signatures of a repository's images in addition, by the longest prefix of
// its name; nil: there is none.
func (f *Fetcher) elsewhere(repository reference.Named) (reference.Named, error) {
	var longest string
	for prefix := range f.repositories {
		if len(prefix) > len(longest) && within(repository.Name(), prefix) {
			longest = prefix
		}
	}
	if longest == "" {
		return nil, nil //nolint:nilnil // No other repository.
	}
	other, err := reference.ParseNormalizedNamed(f.repositories[longest])
	if err != nil {
		return nil, fmt.Errorf("[registry.signature_repositories] %q: %w", longest, err)
	}
	if other.Name() == repository.Name() {
		return nil, nil //nolint:nilnil // As above.
	}
	return reference.TrimNamed(other), nil
}

// within reports whether a repository is, or is below, what a prefix names.
func within(repository, prefix string) bool {
	rest, ok := strings.CutPrefix(repository, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// fetchElsewhere reads the other repository with signatures of the image; nil: there is none. It has half of the time
// that is left. Only the operator names such a repository, and its evidence proves itself like any other.
//
// It is always read in full, because the result takes the place of all that was read before.
func (q *request) fetchElsewhere(ctx context.Context) []*sourceResult {
	repository, err := q.fetcher.elsewhere(q.subject)
	if err != nil {
		return []*sourceResult{{state: format.SourceState{Reference: "signature_repositories"}, err: err}}
	}
	if repository == nil {
		return nil
	}
	other, err := newRequest(Request{Repository: repository, Manifest: q.subject.Digest(), Predicates: q.predicates})
	if err != nil {
		return []*sourceResult{{state: format.SourceState{Reference: repository.Name()}, err: err}}
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	other.fetcher, other.wanted, other.known, other.force = q.fetcher, q.wanted, q.known, true
	other.client = q.client
	if reference.Domain(repository) != reference.Domain(q.subject) {
		// The credentials of a pull are for the image's registry only.
		other.client = q.fetcher.node
	}
	other.session = other.client.NewSession(ctx, repository)
	defer other.session.Close()
	domain := reference.Domain(repository)
	hosts, err := other.session.Hosts(ctx, domain)
	if err != nil {
		err = fmt.Errorf("reading how containerd reaches %s: %w", domain, err)
		return []*sourceResult{{state: format.SourceState{Reference: repository.Name()}, err: err}}
	}
	other.room, other.attestationRoom = q.room/2, q.attestationRoom/2
	results := other.ask(ctx, hosts)
	q.room -= q.room/2 - other.room
	q.attestationRoom -= q.attestationRoom/2 - other.attestationRoom
	return results
}
