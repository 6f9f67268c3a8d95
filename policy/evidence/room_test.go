package evidence_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// crowd is a Keeper with a limit in KiB, and any number of registries that have a signature of 10 KiB for everything.
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
		c.keeper, err = evidence.OpenWith(evidence.Config{Directory: c.root, MaxSize: kib << 10}, look)
		if err != nil {
			t.Fatal(err)
		}
		defer c.keeper.Close()
		test(c)
	})
}

// decide waits for the evidence of an image, as a decision does, and uses it.
func (c crowd) decide(host string, n int) policy.Evidence {
	c.t.Helper()
	named, m := parse(c.t, host+"/app:v1"), manifestOf(fmt.Sprint(n))
	lookup(c.keeper, named, m)
	synctest.Wait()
	return lookup(c.keeper, named, m)
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

// check expects a number of the images of a registry to be on disk.
func (c crowd) check(host string, most, want int, otherwise string) {
	c.t.Helper()
	if has := c.has(host, most); has != want {
		c.t.Errorf("%s: it has %d of %s, not %d", otherwise, has, host, want)
	}
}

// sizeOf returns what a directory takes in blocks of 4 KiB.
func sizeOf(t *testing.T, root string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(root, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		size += 4 << 10
		if info, err := entry.Info(); err == nil && !entry.IsDir() {
			size += info.Size() &^ 4095
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
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
		// The three directories at the top are there before there is evidence.
		if size := sizeOf(t, c.root); size > 412<<10 {
			t.Errorf("it takes %d bytes", size)
		}
		if has := c.has("registry.example", 100); has < 10 {
			t.Errorf("it has only %d", has)
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
			t.Errorf("of the evidence of another registry %d of 5 are left", has)
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
		c.check("registry.example", 5, 5, "evidence in use was evicted for unused evidence")
		unused := c.has("prefetch.example", 100)
		for n := range 3 {
			if got := c.decide("new.example", n); got.State != policy.Found {
				t.Errorf("%+v", got)
			}
		}
		c.check("prefetch.example", 100, unused-3, "three were added, and the unused ones were not evicted")
		c.check("registry.example", 5, 5, "evidence in use was evicted before unused evidence")
	})
}

func TestWhatDecisionsUseMakesNoRoomForWhatIsFetchedAhead(t *testing.T) {
	inCrowd(t, 400, func(c crowd) {
		for n := range 60 {
			c.decide("registry.example", n)
		}
		full := c.has("registry.example", 60)
		for n := range 20 {
			// It is stored in memory instead.
			if err := c.prefetch("prefetch.example", n); err != nil {
				t.Fatal(err)
			}
		}
		c.check("registry.example", 60, full, "evidence in use was evicted for unused evidence")
		c.check("prefetch.example", 20, 0, "a full disk has space for unused evidence")
	})
}

func TestWhatIsForgottenIsSaidToBe(t *testing.T) {
	inCrowd(t, 100, func(c crowd) {
		first := c.decide("registry.example", 0)
		for n := range 20 {
			c.decide("registry.example", n)
		}
		before := c.keeper.Generation()
		got := lookup(c.keeper, parse(t, "registry.example/app:v1"), manifestOf("0"))
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
