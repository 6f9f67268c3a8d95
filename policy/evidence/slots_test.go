package evidence_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// slots counts the fetches that run at once. Each takes ten seconds.
type slots struct {
	t        *testing.T
	mu       sync.Mutex
	running  map[string]int
	most     map[string]int
	total    int
	mostEver int
	order    []string
	// quick are the hosts that answer at once.
	quick map[string]bool
	// failing are hosts whose fetches fail after ten seconds.
	failing map[string]error
}

// fails makes each fetch from a host take ten seconds and then fail.
func (s *slots) fails(host string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quick[host], s.failing = false, map[string]error{host: err}
}

// answersAgain makes each fetch from a host succeed at once that begins from now on.
func (s *slots) answersAgain(host string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quick[host], s.failing = true, nil
}

func (s *slots) look(named reference.Named, manifest, _ digest.Digest) (evidence.Found, error) {
	host := reference.Domain(named)
	s.mu.Lock()
	s.running[host]++
	s.total++
	s.most[host] = max(s.most[host], s.running[host])
	s.mostEver = max(s.mostEver, s.total)
	s.order = append(s.order, host+" "+manifest.Encoded()[:8])
	quick := s.quick[host]
	s.mu.Unlock()
	if !quick {
		time.Sleep(10 * time.Second)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[host]--
	s.total--
	return evidence.Found{}, s.failing[host]
}

func inSlots(t *testing.T, test func(keeper *evidence.Keeper, s *slots)) {
	t.Helper()
	inSlotsNaming(t, nil, test)
}

// inSlotsNaming is like inSlots, with policy documents that name registries.
func inSlotsNaming(t *testing.T, named func(string) bool, test func(keeper *evidence.Keeper, s *slots)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &slots{t: t, running: map[string]int{}, most: map[string]int{}, quick: map[string]bool{}}
		config := evidence.Config{Directory: t.TempDir(), MaxSize: 1 << 30, Named: named}
		keeper, err := evidence.OpenWith(config, s.look)
		if err != nil {
			t.Fatal(err)
		}
		defer keeper.Close()
		test(keeper, s)
	})
}

// check fails the test unless as many fetches ran at once as may, and no more from one registry than may.
func (s *slots) check(want int) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for host, most := range s.most {
		if most > 4 {
			s.t.Errorf("%d fetches from %s ran at once", most, host)
		}
	}
	if s.mostEver != want {
		s.t.Errorf("%d fetches ran at once, not %d", s.mostEver, want)
	}
}

// wait returns how long a decision waits for the evidence of a manifest, while an action is repeated each second.
func (s *slots) wait(keeper *evidence.Keeper, image, manifest string, meanwhile func()) time.Duration {
	s.t.Helper()
	named, m := parse(s.t, image), manifestOf(manifest)
	start := time.Now()
	for lookup(keeper, named, m).State == policy.Unknown {
		meanwhile()
		time.Sleep(time.Second)
		if time.Since(start) > time.Hour {
			s.t.Fatalf("%s waits for more than an hour", image)
		}
	}
	return time.Since(start)
}

// many returns that many manifests.
func many(from, n int) []policy.Manifest {
	var list []policy.Manifest
	for i := range n {
		list = append(list, policy.Manifest{Digest: manifestOf(fmt.Sprint(from + i))})
	}
	return list
}

func TestRegistriesThatHangDoNotHoldUpOthers(t *testing.T) {
	inSlots(t, func(keeper *evidence.Keeper, s *slots) {
		t := s.t
		for _, host := range []string{"a.example", "b.example", "c.example"} {
			for from := range 10 {
				keeper.Lookup(many(from*64, 64), parse(t, host+"/app:v1"))
			}
		}
		synctest.Wait()
		s.check(4)
		start := time.Now()
		if err := keeper.Fetch(t.Context(), manifestOf("x"), parse(t, "d.example/app")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 40*time.Minute {
			t.Errorf("by hand it took %v", took)
		}
		for from := range 8 {
			keeper.Lookup(many(from/2*64, 64), parse(t, []string{"a", "b"}[from%2]+".example/app:v1"))
		}
		if took := s.wait(keeper, "e.example/app:v1", "y", func() {}); took > 21*time.Second {
			t.Errorf("a decision waited %v", took)
		}
	})
}

// TestHoweverManyRegistriesHangADecisionDoesNotWaitLong: whoever controls a domain can make any number of them, and can
// have images pulled from each.
func TestHoweverManyRegistriesHangADecisionDoesNotWaitLong(t *testing.T) {
	for name, test := range map[string]struct{ hosts, manifests int }{
		"a hundred with a manifest each":         {100, 1},
		"four with as many as wait for each":     {4, 300},
		"twenty with as many as an image can be": {20, 64},
	} {
		t.Run(name, func(t *testing.T) {
			inSlots(t, func(keeper *evidence.Keeper, s *slots) {
				attack := func() {
					for i := range test.hosts {
						for from := 0; from < test.manifests; from += 64 {
							list := many(from, min(64, test.manifests-from))
							hostile := parse(s.t, fmt.Sprintf("hostile-%d.evil.example/app:v1", i))
							keeper.Refetch(policy.Check{Manifests: list, Reference: hostile})
						}
					}
				}
				for range 5 {
					attack()
					time.Sleep(10 * time.Second)
				}
				// That is what one fetch takes until there is a place, and what the other takes.
				if took := s.wait(keeper, "good.example/app:v1", "y", attack); took > 21*time.Second {
					s.t.Errorf("a decision waited %v", took)
				}
			})
		})
	}
}

// now returns how many fetches run.
func (s *slots) now() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

func TestManifestsAreFetchedInTheOrderGivenAndOnce(t *testing.T) {
	inSlotsNaming(t, func(string) bool { return true }, func(keeper *evidence.Keeper, s *slots) {
		t := s.t
		list, named := many(0, 12), parse(t, "a.example/app:v1")
		for range 5 {
			keeper.Lookup(list, named)
			keeper.Refetch(policy.Check{Manifests: list, Reference: named})
		}
		time.Sleep(35 * time.Second)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, group := range [][]policy.Manifest{list[:4], list[4:8], list[8:]} {
			for _, m := range group {
				at := s.order[i*4 : i*4+4]
				if !strings.Contains(strings.Join(at, ","), m.Digest.Encoded()[:8]) {
					t.Errorf("manifest %s is not among the fetches %v", m.Digest, at)
				}
			}
		}
	})
}

func TestTheEndDoesNotWaitForThoseWhoWait(t *testing.T) {
	inSlots(t, func(keeper *evidence.Keeper, s *slots) {
		t := s.t
		keeper.Lookup(many(0, 64), parse(t, "a.example/app:v1"))
		failed := make(chan error, 1)
		go func() { failed <- keeper.Fetch(t.Context(), manifestOf("63"), parse(t, "a.example/app:v1")) }()
		synctest.Wait()
		start := time.Now()
		keeper.Close()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		if err := <-failed; err == nil {
			t.Error("a fetch that was not made did not fail")
		}
		if err := keeper.Fetch(t.Context(), manifestOf("x"), parse(t, "a.example/app:v1")); err == nil {
			t.Error("a fetch after the end did not fail")
		}
	})
}
