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

// slots counts the fetches that run at once.
type slots struct {
	t        *testing.T
	mu       sync.Mutex
	running  map[string]int
	most     map[string]int
	total    int
	mostEver int
	order    []string
}

func (s *slots) look(named reference.Named, manifest, _ digest.Digest) (evidence.Found, error) {
	host := reference.Domain(named)
	s.mu.Lock()
	s.running[host]++
	s.total++
	s.most[host] = max(s.most[host], s.running[host])
	s.mostEver = max(s.mostEver, s.total)
	s.order = append(s.order, host+" "+manifest.Encoded()[:8])
	s.mu.Unlock()
	time.Sleep(10 * time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[host]--
	s.total--
	return evidence.Found{}, nil
}

func inSlots(t *testing.T, test func(keeper *evidence.Keeper, s *slots)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &slots{t: t, running: map[string]int{}, most: map[string]int{}}
		keeper, err := evidence.OpenWith(evidence.Config{Directory: t.TempDir(), MaxSize: 1 << 30}, s.look)
		if err != nil {
			t.Fatal(err)
		}
		defer keeper.Close()
		test(keeper, s)
	})
}

// check returns when no more fetches ran at once than may.
func (s *slots) check() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for host, most := range s.most {
		if most > 4 {
			s.t.Errorf("%s has %d at once", host, most)
		}
	}
	if s.mostEver != 8 {
		s.t.Errorf("%d run at once", s.mostEver)
	}
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
		s.check()
		start := time.Now()
		if err := keeper.Fetch(t.Context(), manifestOf("x"), parse(t, "d.example/app")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 40*time.Minute {
			t.Errorf("by hand it took %v", took)
		}
		named := parse(t, "e.example/app:v1")
		for from := range 8 {
			keeper.Lookup(many(from/2*64, 64), parse(t, []string{"a", "b"}[from%2]+".example/app:v1"))
		}
		start = time.Now()
		lookup(keeper, named, manifestOf("y"))
		for lookup(keeper, named, manifestOf("y")).State == policy.Unknown {
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > 21*time.Second {
			t.Errorf("a decision waited %v", took)
		}
	})
}

// TestHoweverManyRegistriesHangADecisionDoesNotWaitLong: whoever controls a domain has as many of them as he wants, and
// can have images pulled from each.
func TestHoweverManyRegistriesHangADecisionDoesNotWaitLong(t *testing.T) {
	for name, test := range map[string]struct{ hosts, manifests int }{
		"a hundred with a manifest each":         {100, 1},
		"four with as many as wait for each":     {4, 300},
		"twenty with as many as an image can be": {20, 64},
	} {
		t.Run(name, func(t *testing.T) {
			inSlots(t, func(keeper *evidence.Keeper, s *slots) {
				t, named := s.t, parse(t, "good.example/app:v1")
				attack := func() {
					for i := range test.hosts {
						for from := 0; from < test.manifests; from += 64 {
							list := many(from, min(64, test.manifests-from))
							keeper.Refetch(list, parse(t, fmt.Sprintf("hostile-%d.example/app:v1", i)))
						}
					}
				}
				// They are known by then.
				for range 20 {
					attack()
					time.Sleep(10 * time.Second)
				}
				start := time.Now()
				for lookup(keeper, named, manifestOf("y")).State == policy.Unknown {
					attack()
					time.Sleep(time.Second)
				}
				// That is what one fetch takes.
				if took := time.Since(start); took > 11*time.Second {
					t.Errorf("a decision waited %v", took)
				}
			})
		})
	}
}

// TestSlowRegistriesLeaveSlotsForOthers: a fetch from a registry that is not known to be slow starts at once, however
// many slow ones are waiting.
func TestSlowRegistriesLeaveSlotsForOthers(t *testing.T) {
	inSlots(t, func(keeper *evidence.Keeper, s *slots) {
		t := s.t
		attack := func(image string) {
			for i := range 30 {
				lookup(keeper, parse(t, fmt.Sprintf("slow-%d.example/app:v1", i)), manifestOf(image))
			}
			synctest.Wait()
		}
		attack("first")
		time.Sleep(time.Minute)
		attack("second")
		if running := s.now(); running != 6 {
			t.Errorf("%d fetches from slow registries run at once, not 6", running)
		}
		lookup(keeper, parse(t, "good.example/app:v1"), manifestOf("third"))
		synctest.Wait()
		if running := s.now(); running != 7 {
			t.Errorf("%d fetches run: one from a registry that is not slow has to wait", running)
		}
	})
}

// now returns how many fetches run.
func (s *slots) now() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

func TestManifestsAreFetchedInTheOrderGivenAndOnce(t *testing.T) {
	inSlots(t, func(keeper *evidence.Keeper, s *slots) {
		t := s.t
		list, named := many(0, 12), parse(t, "a.example/app:v1")
		for range 5 {
			keeper.Lookup(list, named)
			keeper.Refetch(list, named)
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
