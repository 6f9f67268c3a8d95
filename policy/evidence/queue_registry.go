package evidence

import (
	"errors"
	"strings"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/policy/evidence/fetch"
	"github.com/countersign/countersign/policy/internal/domain"
)

// rank orders registries by their history. Anybody who can create a pod chooses the registry of its image, and can
// choose thousands. Therefore an unknown registry ranks only just above those that do not answer.
type rank uint8

const (
	// slow: its last fetch failed by taking too long, or its first one took long.
	slow rank = iota
	// unknown: it has not answered yet.
	unknown
	// answering: a fetch was answered in time, and none has failed by taking too long since.
	answering
	// namedSlow: a policy document names the registry in a scope, and it is slow.
	namedSlow
	// named: a policy document names the registry in a scope, and it is not slow.
	named

	ranks
)

// maxNamedSlow is how many fetches of the rank namedSlow run at once. They have places of their own: a registry that
// answers again does not wait for names that somebody invents, and one that does not takes no place from others.
const maxNamedSlow = 2

// places returns how many fetches from registries up to a rank run at once, without those of the rank namedSlow. The
// others are for higher ranks.
func (r rank) places() int {
	switch r {
	case slow:
		return 3
	case unknown:
		return 4
	case answering:
		return 6
	default:
		return maxFetches
	}
}

// registryState is what the queue knows of a registry.
type registryState struct {
	// domain is the domain of host, which evictions compare for each registry.
	host, domain     string
	waiting, running int
	// isNamed reports whether a document names it; hasAnswered whether it answered in time; isSlow whether it is
	// known to take long.
	isNamed, hasAnswered, isSlow bool
	// isFailing reports whether its last fetch failed, and pausedUntil is the end of the pause that it asked for.
	isFailing   bool
	pausedUntil time.Time
	// used orders states by their last use.
	used uint64
}

func (s *registryState) rank() rank {
	switch {
	case s.isSlow && s.isNamed:
		return namedSlow
	case s.isSlow:
		return slow
	case s.isNamed:
		return named
	case s.hasAnswered:
		return answering
	default:
		return unknown
	}
}

// record records the result of a fetch. One that fails at once does not count: it costs nothing. One that was answered,
// and took long, may have had much to read: it does not lower a better rank, because tenants choose what they push
// there.
func (s *registryState) record(took time.Duration, err error) {
	_, unfinished := errors.AsType[*fetch.UnfinishedError](err)
	switch {
	case err == nil && took < slowFetch:
		s.hasAnswered, s.isSlow = true, false
	case took < slowFetch:
	case err != nil && !unfinished, s.rank() == unknown:
		s.hasAnswered, s.isSlow = false, true
	}
}

// isIdle reports whether it has no fetches.
func (s *registryState) isIdle() bool { return s.waiting == 0 && s.running == 0 }

// isMarked reports whether there is something to remember.
func (s *registryState) isMarked() bool {
	return s.hasAnswered || s.isSlow || s.isFailing || time.Now().Before(s.pausedUntil)
}

// maxMarked bounds of how many registries without fetches something is remembered.
const maxMarked = 1024

// registryStates are those with fetches, and those of which something is remembered.
type registryStates struct {
	isNamed func(registry string) bool
	all     map[string]*registryState
	uses    uint64
}

func newRegistryStates(isNamed func(registry string) bool) registryStates {
	if isNamed == nil {
		isNamed = func(string) bool { return false }
	}
	return registryStates{isNamed: isNamed, all: map[string]*registryState{}}
}

// of returns the state of a registry. It must be released.
func (r *registryStates) of(host string) *registryState {
	s, ok := r.all[host]
	if !ok {
		s = &registryState{host: host, domain: domain.Of(host)}
		r.all[host] = s
	}
	r.uses++
	s.used, s.isNamed = r.uses, r.isNamed(host)
	return s
}

// rank returns the rank of a registry.
func (r *registryStates) rank(host string) rank {
	if s, ok := r.all[host]; ok {
		return s.rank()
	}
	return (&registryState{isNamed: r.isNamed(host)}).rank()
}

// pausedUntil returns the end of a registry's pause; zero: it is not paused.
func (r *registryStates) pausedUntil(host string) time.Time {
	if s, ok := r.all[host]; ok && time.Now().Before(s.pausedUntil) {
		return s.pausedUntil
	}
	return time.Time{}
}

// pause pauses a registry that has a fetch.
func (r *registryStates) pause(host string, wait time.Duration) {
	if s, ok := r.all[host]; ok {
		s.pausedUntil = time.Now().Add(wait)
	}
}

// release forgets a registry that has no fetches and of which there is nothing to remember, and another if too much is
// remembered. Registries with fetches do not count: a tenant can have many wait, which would leave no room for marks.
func (r *registryStates) release(s *registryState) {
	if !s.isIdle() {
		return
	}
	if !s.isMarked() {
		delete(r.all, s.host)
		return
	}
	if len(r.all) > maxMarked && r.idle() > maxMarked {
		r.evict()
	}
}

// idle returns how many registries without fetches are stored.
func (r *registryStates) idle() (n int) {
	for _, s := range r.all {
		if s.isIdle() {
			n++
		}
	}
	return n
}

// evict removes the state of one registry without fetches: see [domain.Evict]. A mark of a registry that documents name
// is removed last: without it, a slow one would count as fast.
func (r *registryStates) evict() {
	for host, s := range r.all {
		s.isNamed = r.isNamed(host) // The documents may have changed since its last fetch.
	}
	host, ok := domain.Evict(r.all, func(_ string, s *registryState) domain.Candidate {
		c := domain.Candidate{Rank: int(s.rank()) + 1, Domain: s.domain, Used: s.used}
		switch {
		case !s.isIdle():
			c.Rank = -1
		case !s.isMarked():
			c.Rank = 0
		case s.isNamed:
			c.Rank = int(named) + 1
		}
		return c
	})
	if ok {
		delete(r.all, host)
	}
}

// projectOf returns the registry of a repository with its first path component. On a registry that several tenants
// share, these are usually theirs.
func projectOf(repository reference.Named) string {
	first, _, _ := strings.Cut(reference.Path(repository), "/")
	return reference.Domain(repository) + "/" + first
}

// group counts the fetches of registries or repositories that take turns.
type group struct {
	name             string
	waiting, running int
}

// groups are those with fetches.
type groups map[string]*group

// of returns a group by its name. It must be released.
func (g groups) of(name string) *group {
	if found, ok := g[name]; ok {
		return found
	}
	g[name] = &group{name: name}
	return g[name]
}

// release forgets a group without fetches.
func (g groups) release(of *group) {
	if of.waiting == 0 && of.running == 0 {
		delete(g, of.name)
	}
}
