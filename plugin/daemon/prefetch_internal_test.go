package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/origin"
)

// aheadNode simulates a node for prefetching.
type aheadNode struct {
	mu       sync.Mutex
	held     []origin.LocalImage
	state    origin.State
	changed  chan struct{}
	asked    func(reference.Named) bool
	kept     map[digest.Digest]policy.State
	arrived  []string
	failing  func(reference.Named) bool
	fetched  []string
	times    []time.Time
	failures int
	waiting  int
	expired  int
	log      bytes.Buffer
	policies notifier
}

// startAhead starts to prefetch images, whose names are given from the newest to the oldest.
func startAhead(t *testing.T, n *aheadNode, names ...string) {
	t.Helper()
	n.changed, n.policies, n.state = make(chan struct{}), newNotifier(), origin.State{Following: true}
	n.held = heldOf(t, names...)
	n.arrived = n.names()
	if n.kept == nil {
		n.kept = map[digest.Digest]policy.State{}
	}
	if n.asked == nil {
		n.asked = func(reference.Named) bool { return true }
	}
	p := &prefetch{
		news:  n.arrive,
		names: func() []string { return locked(n, n.names) },
		held:  n.under,
		state: func() origin.State {
			return locked(n, func() origin.State { return n.state })
		},
		changed:           func() <-chan struct{} { return locked(n, func() chan struct{} { return n.changed }) },
		present:           func(digest.Digest) bool { return true },
		requiresSignature: func(ref reference.Named) bool { return n.asked(ref) },
		lookup: func(manifests []policy.Manifest, _ reference.Named) policy.StoredEvidence {
			return locked(n, func() policy.StoredEvidence {
				return policy.StoredEvidence{{Manifest: manifests[0].Digest, State: n.kept[manifests[0].Digest]}}
			})
		},
		fetch: n.fetch,
		expire: func(func(digest.Digest) bool) (int, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.expired++
			return 1, nil
		},
		fetched: func(failed bool) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.failures += map[bool]int{true: 1}[failed]
		},
		waiting:         func(manifests int) { n.waiting = manifests },
		log:             slog.New(slog.NewTextHandler(&n.log, nil)),
		policiesChanged: n.policies,
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); p.run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// names returns the names of the images, which are their references.
func (n *aheadNode) names() (names []string) {
	for _, held := range n.held {
		names = append(names, held.Reference.String())
	}
	return names
}

// arrive returns the names that have not been returned yet.
func (n *aheadNode) arrive() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	arrived := n.arrived
	n.arrived = nil
	return arrived
}

// under returns the images under a name.
func (n *aheadNode) under(stored string) (held []origin.LocalImage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, one := range n.held {
		if one.Reference.String() == stored {
			held = append(held, one)
		}
	}
	return held
}

func locked[T any](n *aheadNode, read func() T) T {
	n.mu.Lock()
	defer n.mu.Unlock()
	return read()
}

func heldOf(t *testing.T, names ...string) []origin.LocalImage {
	t.Helper()
	var all []origin.LocalImage
	for i, name := range names {
		ref, err := policy.Normalize(name)
		if err != nil {
			t.Fatal(err)
		}
		manifest := policy.Manifest{Digest: digest.FromString(name)}
		all = append(all, origin.LocalImage{
			Reference: ref, Manifests: []policy.Manifest{manifest}, Updated: time.Now().Add(-time.Duration(i) * time.Second),
		})
	}
	return all
}

func (n *aheadNode) fetch(_ context.Context, manifest digest.Digest, ref reference.Named) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fetched = append(n.fetched, ref.String())
	n.times = append(n.times, time.Now())
	if n.failing != nil && n.failing(ref) {
		return errors.New("the registry answers 503")
	}
	n.kept[manifest] = policy.None
	return nil
}

// change replaces the images on the node.
func (n *aheadNode) change(held []origin.LocalImage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = held
	n.arrived = append(n.arrived, n.names()...)
	close(n.changed)
	n.changed = make(chan struct{})
}

// settle waits until nothing more is fetched without another change.
func settle() { pass(time.Minute) }

// pass advances the clock.
func pass(length time.Duration) {
	time.Sleep(length)
	synctest.Wait()
}

func (n *aheadNode) want(t *testing.T, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if diff := cmp.Diff(want, n.fetched); diff != "" {
		t.Errorf("fetched (-want +got):\n%s", diff)
	}
	n.fetched = nil
}

func TestAllImagesArePrefetchedSlowlyTheNewestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n aheadNode
		startAhead(t, &n, "a.example/new:1", "b.example/middle:1", "a.example/old:1")
		settle()
		n.want(t, "a.example/new:1", "b.example/middle:1", "a.example/old:1")
		for i := range len(n.times) - 1 {
			if between := n.times[i+1].Sub(n.times[i]); between < fetchInterval {
				t.Errorf("%s between two fetches, want at least %s", between, fetchInterval)
			}
		}
		if n.waiting != 0 || strings.Count(n.log.String(), `msg="prefetch`) != 2 {
			t.Errorf("%d are waiting; log:\n%s", n.waiting, &n.log)
		}
	})
}

func TestStoredEvidenceIsNotPrefetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := aheadNode{
			asked: func(ref reference.Named) bool { return reference.Domain(ref) != "free.example" },
			kept: map[digest.Digest]policy.State{
				digest.FromString("a.example/found:1"): policy.Found, digest.FromString("a.example/none:1"): policy.None,
			},
		}
		startAhead(t, &n, "free.example/app:1", "a.example/found:1", "a.example/none:1", "a.example/unknown:1")
		settle()
		n.want(t, "a.example/unknown:1")
		n.change(n.held)
		settle()
		n.want(t)
		if strings.Count(n.log.String(), `msg="prefetch`) != 2 {
			t.Errorf("log:\n%s", &n.log)
		}
	})
}

func TestANewImageIsPrefetchedBeforeWaitingOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n aheadNode
		var names []string
		for i := range 50 {
			names = append(names, fmt.Sprintf("a.example/old:%d", i))
		}
		startAhead(t, &n, names...)
		pass(10 * fetchInterval)
		n.change(heldOf(t, append([]string{"a.example/new:1"}, names...)...))
		settle()
		if at := slices.Index(n.fetched, "a.example/new:1"); at < 5 || at > 15 {
			t.Errorf("the new one was fetched as number %d", at)
		}
		if len(n.fetched) != 51 {
			t.Errorf("%d fetches for 51 images", len(n.fetched))
		}
	})
}

func TestTheSameManifestUnderTwoTagsIsFetchedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n aheadNode
		startAhead(t, &n)
		held := heldOf(t, "a.example/app:1", "a.example/app:2", "b.example/app:1")
		for i := range held {
			held[i].Manifests = held[0].Manifests
		}
		n.change(held)
		settle()
		n.want(t, "a.example/app:1", "b.example/app:1")
	})
}

func TestImagesThatChangedPoliciesRequireArePrefetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asking atomic.Bool
		n := aheadNode{asked: func(reference.Named) bool { return asking.Load() }}
		startAhead(t, &n, "a.example/app:1")
		settle()
		n.want(t)
		asking.Store(true)
		n.policies.notify()
		settle()
		n.want(t, "a.example/app:1")
	})
}

func TestAFailingRegistryIsRetriedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		n := aheadNode{failing: func(ref reference.Named) bool {
			return !up.Load() && reference.Domain(ref) == "down.example"
		}}
		startAhead(t, &n, "down.example/a:1", "down.example/b:1", "up.example/a:1", "down.example/c:1", "down.example/d:1",
			"up.example/b:1")
		settle()
		n.want(t, "down.example/a:1", "down.example/b:1", "up.example/a:1", "down.example/c:1", "up.example/b:1")
		if failures := locked(&n, func() int { return n.failures }); failures != 3 {
			t.Errorf("%d failures are counted, want 3", failures)
		}
		n.change(n.held)
		settle()
		n.want(t)
		up.Store(true)
		pass(retryInterval)
		n.want(t, "down.example/a:1", "down.example/b:1", "down.example/c:1", "down.example/d:1")
		pass(24 * retryInterval)
		n.want(t)
	})
}

func TestNothingIsPrefetchedBeforeTheImagesAreKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n aheadNode
		startAhead(t, &n)
		n.mu.Lock()
		n.state.Following = false
		n.mu.Unlock()
		n.change(heldOf(t, "a.example/app:1"))
		settle()
		n.want(t)
		pass(3 * expireInterval)
		if locked(&n, func() int { return n.expired }) != 0 {
			t.Error("evidence expires although the images are not known")
		}
		n.mu.Lock()
		n.state.Following = true
		n.mu.Unlock()
		n.change(n.held)
		settle()
		n.want(t, "a.example/app:1")
		pass(expireFirst)
		looked := func() int { return n.expired }
		if times := locked(&n, looked); times != 1 {
			t.Errorf("evidence was looked through %d times in five minutes", times)
		}
		pass(3 * expireInterval)
		if times := locked(&n, looked); times != 4 {
			t.Errorf("evidence was looked through %d times, three hours later", times)
		}
	})
}

func TestOnlyNewNamesAreConsidered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var considered atomic.Int64
		n := aheadNode{asked: func(reference.Named) bool { considered.Add(1); return false }}
		names := make([]string, 1000)
		for i := range names {
			names[i] = fmt.Sprintf("a.example/app:%d", i)
		}
		startAhead(t, &n, names...)
		settle()
		if considered.Swap(0) != 1000 {
			t.Error("not all images were considered when the daemon started")
		}
		n.mu.Lock()
		n.held = append(n.held, heldOf(t, "a.example/new:1")...)
		n.arrived = []string{"a.example/new:1"}
		close(n.changed)
		n.changed = make(chan struct{})
		n.mu.Unlock()
		settle()
		if got := considered.Load(); got != 1 {
			t.Errorf("%d images were considered for one that is new", got)
		}
	})
}

// TestTheNewestStayAndNoneIsForgotten queues more images than the limit.
func TestTheNewestStayAndNoneIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := make([]string, maxJobs+100)
		for i := range names {
			names[i] = fmt.Sprintf("a.example/app:%d", i)
		}
		var n aheadNode
		startAhead(t, &n, names...)
		pass(24 * time.Hour)
		if len(n.fetched) != len(names) || n.fetched[0] != names[0] || n.fetched[maxJobs-1] != names[maxJobs-1] {
			t.Errorf("%d of %d were fetched, %s first", len(n.fetched), len(names), n.fetched[0])
		}
	})
}

func TestWhatHasLeftTheNodeIsNotFetched(t *testing.T) {
	plan := newPrefetchPlan()
	for _, held := range heldOf(t, "a.example/gone:1", "a.example/here:1") {
		plan.add(fetchJob{held.Manifests[0].Digest, held.Reference, held.Updated})
	}
	plan.sort()
	here := func(d digest.Digest) bool { return d == digest.FromString("a.example/here:1") }
	if job, ok := plan.next(here); !ok || job.reference.String() != "a.example/here:1" {
		t.Errorf("next is %v, %t", job, ok)
	}
	if _, ok := plan.next(here); ok || len(plan.known) != 0 {
		t.Errorf("something is left: %v", plan.known)
	}
}

func TestFailedFetchesTakeABoundedPlace(t *testing.T) {
	plan := newPrefetchPlan()
	for i := range 2 * maxJobs {
		job := fetchJob{manifest: digest.FromString(fmt.Sprint(i)), reference: heldOf(t, "a.example/x:1")[0].Reference}
		plan.record(job, true)
	}
	if len(plan.failed) != maxJobs || len(plan.known) != maxJobs || !plan.droppedAny() || plan.droppedAny() {
		t.Errorf("%d have failed, %d are known", len(plan.failed), len(plan.known))
	}
}
