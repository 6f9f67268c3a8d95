package evidence_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/fetch"
)

// satisfaction returns what a decision reported about the file of alice's, among others.
func (c *cluster) satisfaction() (held policy.Satisfaction) {
	c.t.Helper()
	c.set(formats()["bundles"]("a", by("mallory", 0, 1), by("alice", 0, 1)), nil)
	c.decide("alice")
	keeper := c.keeper
	c.withSatisfied(func(s policy.Satisfaction) { held = s })
	c.want("before", "alice", policy.Accepted)
	c.withSatisfied(keeper.Satisfied)
	if held.Reference == nil {
		c.t.Fatal("no satisfaction was reported")
	}
	return held
}

// TestUnrecordedSatisfactionsAreBounded: recording judges files, and decisions report faster than that.
func TestUnrecordedSatisfactionsAreBounded(t *testing.T) {
	onCluster(t, func(c *cluster) {
		held := c.satisfaction()
		recording, proceed := make(chan struct{}), make(chan struct{})
		c.judging = sync.OnceFunc(func() { close(recording); <-proceed })
		for i := range 1000 {
			held.Reference = parse(t, fmt.Sprintf("%s:v%d", testRepository, i))
			c.keeper.Satisfied(held)
			if i == 0 {
				<-recording
			}
		}
		if got := c.keeper.Unrecorded(manifestOf("image"), testRepository); got != 256 {
			t.Errorf("%d satisfactions wait, not 256", got)
		}
		close(proceed)
		synctest.Wait()
		if got := c.keeper.Unrecorded(manifestOf("image"), testRepository); got != 0 {
			t.Errorf("%d satisfactions still wait", got)
		}
	})
}

// TestWhatMetARequirementStaysInMemoryIfTheDiskRefusesIt: the file system becomes read-only later.
func TestWhatMetARequirementStaysInMemoryIfTheDiskRefusesIt(t *testing.T) {
	directory := smallDisk(t)
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{node: &node{world: &world{t: t, start: time.Now()}, directory: directory}}
		c.open()
		defer func() { c.keeper.Close() }()
		c.start()
		held := c.satisfaction()
		if err := unix.Mount("", directory, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		c.keeper.Satisfied(held)
		synctest.Wait()
		if got := c.lookup().Satisfied; got.Bundles != 1 || strings.HasPrefix(got.Directory, directory) {
			t.Errorf("recorded is %+v", got)
		}
		c.serve(formats()["bundles"]("b", by("mallory", 1, 64)))
		c.want("after", "alice", policy.Accepted)
	})
}

// TestAnEntryWithAFetchIsNotEvicted: otherwise the same evidence would be fetched a second time meanwhile.
func TestAnEntryWithAFetchIsNotEvicted(t *testing.T) {
	inSlots(t, func(keeper *evidence.Keeper, s *slots) {
		t := s.t
		first := many(0, 1)
		keeper.Lookup(first, parse(t, "a.example/app:v1"))
		// Most of them cannot even wait for a fetch.
		for from := 0; from < 2*16384; from += 64 {
			keeper.Lookup(many(from, 64), parse(t, "b.example/app:v1"))
		}
		keeper.Lookup(first, parse(t, "a.example/app:v1"))
		time.Sleep(time.Hour)
		s.mu.Lock()
		defer s.mu.Unlock()
		fetches := slices.DeleteFunc(slices.Clone(s.order), func(one string) bool { return !strings.HasPrefix(one, "a.") })
		if len(fetches) != 1 {
			t.Errorf("it was fetched %d times", len(fetches))
		}
	})
}

func TestSlowRegistriesHaveThreePlaces(t *testing.T) {
	inSlots(t, func(keeper *evidence.Keeper, s *slots) {
		t := s.t
		for i := range 6 {
			s.wait(keeper, fmt.Sprintf("slow-%d.example/app:v1", i), "earlier", func() {})
		}
		for i := range 6 {
			lookup(keeper, parse(t, fmt.Sprintf("slow-%d.example/app:v1", i)), manifestOf("more"))
		}
		synctest.Wait()
		if got := s.now(); got != 3 {
			t.Errorf("%d fetches run, not 3", got)
		}
	})
}

// TestAFetchThatDoesNotFinishDoesNotMakeARegistrySlow: an image of a tenant's may have more referrers than can be read
// in one fetch. One that does not answer in time is slow.
func TestAFetchThatDoesNotFinishDoesNotMakeARegistrySlow(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		runs int
	}{
		// The places of unknown registries are taken. There are others for those that answer.
		"it was not finished": {&fetch.UnfinishedError{Read: 1, Of: 2, Cause: errDown}, 1},
		"it failed":           {errDown, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inSlots(t, func(keeper *evidence.Keeper, s *slots) {
				t := s.t
				s.quick["a.example"] = true
				s.wait(keeper, "a.example/app:v1", "first", func() {})
				s.fails("a.example", test.err)
				if err := keeper.Fetch(t.Context(), manifestOf("second"), parse(t, "a.example/app")); !errors.Is(err, test.err) {
					t.Fatalf("the fetch ends with %v", err)
				}
				minted{keeper, s, "unknown-%d.example/app:v1", 10}.ask()
				time.Sleep(time.Second)
				lookup(keeper, parse(t, "a.example/app:v1"), manifestOf("third"))
				synctest.Wait()
				s.mu.Lock()
				defer s.mu.Unlock()
				if got := s.running["a.example"]; got != test.runs {
					t.Errorf("%d fetches of the registry run, not %d", got, test.runs)
				}
			})
		})
	}
}

// TestRememberedRegistriesAreBounded: each has answered.
func TestRememberedRegistriesAreBounded(t *testing.T) {
	inSlots(t, func(keeper *evidence.Keeper, s *slots) {
		for i := range 1100 {
			host := fmt.Sprintf("minted-%d.example", i)
			s.quick[host] = true
			s.wait(keeper, host+"/app:v1", "image", func() {})
		}
		if got := keeper.Registries(); got != 1024 {
			s.t.Errorf("%d registries are remembered, not 1024", got)
		}
	})
}
