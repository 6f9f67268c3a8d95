package evidence_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// world is a registry whose answers a test sets, for tests in which hours pass.
type world struct {
	t     *testing.T
	mu    sync.Mutex
	found evidence.Found
	err   error
	looks []time.Duration
	start time.Time
	known []digest.Digest
}

func (w *world) look(_ reference.Named, _, known digest.Digest) (evidence.Found, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks = append(w.looks, time.Since(w.start))
	w.known = append(w.known, known)
	if w.err == nil && known != "" && known == w.found.Tag {
		return evidence.Found{Unchanged: true}, nil
	}
	return w.found, w.err
}

func (w *world) set(found evidence.Found, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found, w.err = found, err
}

// looked returns the times of the requests since the last call of looked.
func (w *world) looked() []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	looks := w.looks
	w.looks = nil
	return looks
}

func found(contents ...string) evidence.Found {
	f := evidence.Found{Tag: digest.FromString(strings.Join(contents, " "))}
	for _, content := range contents {
		f.Files = append(f.Files, []byte(content))
	}
	return f
}

var errDown = errors.New("the registry is down")

// inTime runs a test in which time passes only when everybody waits.
func inTime(t *testing.T, test func(w *world, ask func(wait bool) policy.Evidence)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, start: time.Now()}
		config := evidence.Config{Directory: t.TempDir(), MaxSize: 1 << 30}
		keeper, err := evidence.OpenWith(config, w.look)
		if err != nil {
			t.Fatal(err)
		}
		defer keeper.Close()
		named, m := parse(t, "registry.example/app:v1"), manifestOf("image")
		test(w, func(wait bool) policy.Evidence {
			got := lookup(keeper, named, m)
			if wait {
				keeper.Refetch(policy.Check{Manifests: manifests(m), Reference: named})
			}
			synctest.Wait()
			return got
		})
	})
}

func TestASignaturePushedAfterARefusalCountsWithin30Seconds(t *testing.T) {
	for pushed := range 40 {
		inTime(t, func(w *world, ask func(bool) policy.Evidence) {
			ask(false)
			if counted := w.push(5+pushed, ask); counted < 0 || counted > 5+pushed+30 {
				w.t.Errorf("pushed at %d s, and counted at %d s", 5+pushed, counted)
			}
		})
	}
}

// push pushes a signature at some second, and returns the second at which it counts; -1: it never does. The kubelet
// tries again every ten seconds.
func (w *world) push(at int, ask func(bool) policy.Evidence) int {
	for second := range 90 {
		if second == at {
			w.set(found("signature"), nil)
		}
		if second%10 == 2 && ask(true).State == policy.Found {
			return second
		}
		time.Sleep(time.Second)
	}
	return -1
}

func TestARegistryIsAskedEvery15SecondsForAMinuteAfterSomeoneWaited(t *testing.T) {
	inTime(t, func(w *world, ask func(bool) policy.Evidence) {
		t := w.t
		ask(true)
		time.Sleep(time.Hour)
		var want []time.Duration
		for second := 0; second <= 60; second += 15 {
			want = append(want, time.Duration(second)*time.Second)
		}
		if diff := cmp.Diff(want, w.looked()); diff != "" {
			t.Errorf("asked at (-want +got):\n%s", diff)
		}
		ask(true)
		if looks := w.looked(); len(looks) != 1 {
			t.Errorf("an hour later someone waits, and it is asked %d times at once", len(looks))
		}
	})
}

func TestWhoeverAsksOftenDoesNotHaveTheRegistryAskedOften(t *testing.T) {
	inTime(t, func(w *world, ask func(bool) policy.Evidence) {
		t := w.t
		for range 299 {
			ask(true)
			time.Sleep(100 * time.Millisecond)
		}
		if looks := w.looked(); len(looks) != 2 {
			t.Errorf("in 30 s it was asked at %v", looks)
		}
	})
}

func TestWithoutAnyoneWaitingNothingIsAskedAgain(t *testing.T) {
	inTime(t, func(w *world, ask func(bool) policy.Evidence) {
		t := w.t
		for range 100 {
			ask(false)
			time.Sleep(time.Minute)
		}
		if looks := w.looked(); len(looks) != 1 {
			t.Errorf("asked at %v", looks)
		}
	})
}

func TestFailuresBackOff(t *testing.T) {
	inTime(t, func(w *world, ask func(bool) policy.Evidence) {
		t := w.t
		w.set(evidence.Found{}, errDown)
		for range 600 {
			ask(true)
			time.Sleep(100 * time.Millisecond)
		}
		looks := w.looked()
		for i := 1; i < len(looks); i++ {
			most := min(time.Second<<(i-1), 15*time.Second)
			if gap := looks[i] - looks[i-1]; gap > most || gap < most*3/4 {
				t.Errorf("after failure %d it took %v", i, gap)
			}
		}
		if len(looks) < 6 {
			t.Errorf("asked at %v", looks)
		}
	})
}

func TestARegistryThatWantsToBeLeftAloneIs(t *testing.T) {
	for name, test := range map[string]struct{ wants, gets time.Duration }{
		"for a while":    {40 * time.Second, 40 * time.Second},
		"for a year":     {365 * 24 * time.Hour, time.Minute},
		"for no time":    {0, 700 * time.Millisecond},
		"since long ago": {-time.Hour, 700 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(w *world, ask func(bool) policy.Evidence) {
				t := w.t
				w.set(evidence.Found{}, evidence.Busy(test.wants))
				ask(true)
				for range 900 {
					ask(true)
					time.Sleep(100 * time.Millisecond)
				}
				looks := w.looked()
				if len(looks) < 2 || looks[1] < test.gets || looks[1] > test.gets+time.Second {
					t.Errorf("asked at %v", looks)
				}
			})
		})
	}
}
