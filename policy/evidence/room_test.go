package evidence_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
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

// crowd is a Keeper with room for so many KiB, and registries without end that have a signature of 10 KiB for
// everything.
type crowd struct {
	t      *testing.T
	keeper *evidence.Keeper
	root   string
}

func inCrowd(t *testing.T, kib int64, test func(c crowd)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := crowd{t: t, root: t.TempDir()}
		large := []byte(strings.Repeat("x", 10<<10))
		look := func(_ reference.Named, manifest, _ digest.Digest) (evidence.Found, error) {
			return evidence.Found{Files: [][]byte{large}, Tag: manifest}, nil
		}
		var err error
		c.keeper, err = evidence.OpenLooking(evidence.Config{Directory: c.root, MaxSize: kib << 10}, look)
		if err != nil {
			t.Fatal(err)
		}
		defer c.keeper.Close()
		test(c)
	})
}

// decide has a decision wait for the evidence of an image, and use it.
func (c crowd) decide(host string, n int) policy.Evidence {
	c.t.Helper()
	named, m := parse(c.t, host+"/app:v1"), manifestOf(fmt.Sprint(n))
	kept(c.keeper, named, m)
	synctest.Wait()
	return kept(c.keeper, named, m)
}

// prefetch fetches evidence that no decision has asked for.
func (c crowd) prefetch(host string, n int) error {
	c.t.Helper()
	return c.keeper.Fetch(c.t.Context(), manifestOf(fmt.Sprint(n)), parse(c.t, host+"/app:v1"))
}

// has counts what is on disk of a registry.
func (c crowd) has(host string, most int) int {
	c.t.Helper()
	read, count := evidence.Read(c.root), 0
	for n := range most {
		if read(manifests(manifestOf(fmt.Sprint(n))), parse(c.t, host+"/app:v1"))[0].State == policy.Found {
			count++
		}
	}
	return count
}

func TestTheStoreStaysWithinItsSize(t *testing.T) {
	inCrowd(t, 400, func(c crowd) {
		for n := range 100 {
			if got := c.decide("registry.example", n); got.State != policy.Found {
				t.Fatalf("%d: %+v", n, got)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		var size int64
		err := filepath.WalkDir(c.root, func(_ string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			size += 4 << 10
			if info, err := entry.Info(); err == nil && !entry.IsDir() {
				size += info.Size() &^ 4095
			}
			return nil
		})
		// The three directories at the top are there before there is evidence.
		if err != nil || size > 412<<10 {
			t.Errorf("it takes %d bytes, %v", size, err)
		}
		if has := c.has("registry.example", 100); has < 10 {
			t.Errorf("it holds only %d", has)
		}
	})
}

func TestTheLeastRecentlyUsedGoesFirst(t *testing.T) {
	inCrowd(t, 400, func(c crowd) {
		for n := range 60 {
			c.decide("registry.example", 0)
			c.decide("registry.example", n)
		}
		if got := c.decide("registry.example", 0); got.Generation > 3 {
			t.Errorf("what was used all the time was fetched again: %+v", got)
		}
	})
}

func TestNoRegistryStarvesAnother(t *testing.T) {
	inCrowd(t, 400, func(c crowd) {
		for n := range 5 {
			c.decide("registry.example", n)
		}
		for n := range 200 {
			c.decide("flood.example", n)
		}
		if has := c.has("registry.example", 5); has != 5 {
			t.Errorf("of what was kept of another registry %d are left of 5", has)
		}
	})
}

func TestWhatADecisionWaitsForTakesThePlaceOfWhatNoneHasUsed(t *testing.T) {
	inCrowd(t, 400, func(c crowd) {
		for n := range 5 {
			c.decide("registry.example", n)
		}
		for n := range 100 {
			// What is not used makes room for what is not used.
			if err := c.prefetch("prefetch.example", n); err != nil {
				t.Fatal(err)
			}
		}
		if has := c.has("registry.example", 5); has != 5 {
			t.Errorf("evidence in use made room for evidence that nobody used: %d are left of 5", has)
		}
		unused := c.has("prefetch.example", 100)
		for n := range 3 {
			if got := c.decide("new.example", n); got.State != policy.Found {
				t.Errorf("%+v", got)
			}
		}
		if has := c.has("prefetch.example", 100); has != unused-3 {
			t.Errorf("three came, and of what nobody used %d are left of %d", has, unused)
		}
		if has := c.has("registry.example", 5); has != 5 {
			t.Errorf("evidence in use went before evidence that nobody used: %d are left of 5", has)
		}
	})
}

func TestWhatIsForgottenIsSaidToBe(t *testing.T) {
	inCrowd(t, 100, func(c crowd) {
		first := c.decide("registry.example", 0)
		for n := range 20 {
			c.decide("registry.example", n)
		}
		before := c.keeper.Generation()
		got := kept(c.keeper, parse(t, "registry.example/app:v1"), manifestOf("0"))
		if got.State != policy.Unknown || got.Generation == first.Generation {
			t.Errorf("%+v", got)
		}
		synctest.Wait()
		if c.keeper.Generation() == before {
			t.Error("it came back, and the generation of the store is the same")
		}
	})
}

func TestWhatIsLargerThanTheStoreIsKeptInMemory(t *testing.T) {
	inCrowd(t, 8, func(c crowd) {
		got := c.decide("registry.example", 0)
		if got.State != policy.Found || strings.HasPrefix(got.Directory, c.root) || len(filesIn(t, got.Directory)) != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// slots counts the fetches that run at once.
type slots struct {
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

func inSlots(t *testing.T, test func(t *testing.T, keeper *evidence.Keeper, s *slots)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &slots{running: map[string]int{}, most: map[string]int{}}
		keeper, err := evidence.OpenLooking(evidence.Config{Directory: t.TempDir(), MaxSize: 1 << 30}, s.look)
		if err != nil {
			t.Fatal(err)
		}
		defer keeper.Close()
		test(t, keeper, s)
	})
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
	inSlots(t, func(t *testing.T, keeper *evidence.Keeper, s *slots) {
		for _, host := range []string{"a.example", "b.example", "c.example"} {
			for from := range 10 {
				keeper.Kept(many(from*64, 64), parse(t, host+"/app:v1"))
			}
		}
		synctest.Wait()
		s.mu.Lock()
		for host, most := range s.most {
			if most > 4 {
				t.Errorf("%s has %d at once", host, most)
			}
		}
		if s.mostEver != 8 {
			t.Errorf("%d run at once", s.mostEver)
		}
		s.mu.Unlock()
		start := time.Now()
		if err := keeper.Fetch(t.Context(), manifestOf("x"), parse(t, "d.example/app")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 40*time.Minute {
			t.Errorf("by hand it took %v", took)
		}
		named := parse(t, "e.example/app:v1")
		for from := range 4 {
			keeper.Kept(many(from*64, 64), parse(t, "a.example/app:v1"))
			keeper.Kept(many(from*64, 64), parse(t, "b.example/app:v1"))
		}
		start = time.Now()
		kept(keeper, named, manifestOf("y"))
		for kept(keeper, named, manifestOf("y")).State == policy.Unknown {
			time.Sleep(time.Second)
		}
		if took := time.Since(start); took > 21*time.Second {
			t.Errorf("a decision waited %v", took)
		}
	})
}

func TestManifestsAreFetchedInTheOrderGivenAndOnce(t *testing.T) {
	inSlots(t, func(t *testing.T, keeper *evidence.Keeper, s *slots) {
		list, named := many(0, 12), parse(t, "a.example/app:v1")
		for range 5 {
			keeper.Kept(list, named)
			keeper.Ask(list, named)
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
	inSlots(t, func(t *testing.T, keeper *evidence.Keeper, s *slots) {
		keeper.Kept(many(0, 64), parse(t, "a.example/app:v1"))
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
