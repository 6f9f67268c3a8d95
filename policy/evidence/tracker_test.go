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

// looked returns when the registry was asked since this was last called.
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
func inTime(t *testing.T, test func(t *testing.T, w *world, ask func(wait bool) policy.Evidence)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{start: time.Now()}
		config := evidence.Config{Directory: t.TempDir(), MaxSize: 1 << 30}
		keeper, err := evidence.OpenLooking(config, w.look)
		if err != nil {
			t.Fatal(err)
		}
		defer keeper.Close()
		named, m := parse(t, "registry.example/app:v1"), manifestOf("image")
		test(t, w, func(wait bool) policy.Evidence {
			got := kept(keeper, named, m)
			if wait {
				keeper.Ask(manifests(m), named)
			}
			synctest.Wait()
			return got
		})
	})
}

func TestASignaturePushedAfterARefusalCountsWithin30Seconds(t *testing.T) {
	for pushed := range 40 {
		inTime(t, func(t *testing.T, w *world, ask func(bool) policy.Evidence) {
			ask(false)
			// The kubelet tries again every ten seconds.
			for second := range 90 {
				if second == 5+pushed {
					w.set(found("signature"), nil)
				}
				if second%10 == 2 && ask(true).State == policy.Found {
					if second-5-pushed > 30 {
						t.Errorf("pushed at %d s, and counted at %d s", 5+pushed, second)
					}
					return
				}
				time.Sleep(time.Second)
			}
			t.Errorf("pushed at %d s, and never counted", 5+pushed)
		})
	}
}

func TestARegistryIsAskedEvery15SecondsForAMinuteAfterSomeoneWaited(t *testing.T) {
	inTime(t, func(t *testing.T, w *world, ask func(bool) policy.Evidence) {
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
	inTime(t, func(t *testing.T, w *world, ask func(bool) policy.Evidence) {
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
	inTime(t, func(t *testing.T, w *world, ask func(bool) policy.Evidence) {
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
	inTime(t, func(t *testing.T, w *world, ask func(bool) policy.Evidence) {
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
			inTime(t, func(t *testing.T, w *world, ask func(bool) policy.Evidence) {
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

func TestWhatIsKnownIsNotLostToWhatCouldNotBeFoundOut(t *testing.T) {
	gone, down := evidence.Found{}, errDown
	type answer struct {
		found evidence.Found
		err   error
	}
	for name, test := range map[string]struct {
		before, after answer
		want          policy.State
		signatures    int
		sameAgain     bool
		detail        string
	}{
		"found, then down: found":    {answer{found("a"), nil}, answer{gone, down}, policy.Found, 1, true, ""},
		"found, then gone: found":    {answer{found("a"), nil}, answer{gone, nil}, policy.Found, 1, true, ""},
		"found, then the same":       {answer{found("a"), nil}, answer{found("a"), nil}, policy.Found, 1, true, ""},
		"found, then more":           {answer{found("a"), nil}, answer{found("a", "b"), nil}, policy.Found, 2, false, ""},
		"found, then fewer":          {answer{found("a", "b"), nil}, answer{found("b"), nil}, policy.Found, 1, false, ""},
		"found, then another":        {answer{found("a"), nil}, answer{found("b"), nil}, policy.Found, 1, false, ""},
		"none, then none":            {answer{gone, nil}, answer{gone, nil}, policy.None, 0, true, ""},
		"none, then found":           {answer{gone, nil}, answer{found("a"), nil}, policy.Found, 1, false, ""},
		"none, then down: none":      {answer{gone, nil}, answer{gone, down}, policy.None, 0, false, "registry is down"},
		"down, then down: failed":    {answer{gone, down}, answer{gone, down}, policy.Failed, 0, true, "registry is down"},
		"down, then another failure": {answer{gone, down}, answer{gone, errors.New("x")}, policy.Failed, 0, false, "x"},
		"down, then none":            {answer{gone, down}, answer{gone, nil}, policy.None, 0, false, ""},
		"down, then found":           {answer{gone, down}, answer{found("a"), nil}, policy.Found, 1, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T, w *world, ask func(bool) policy.Evidence) {
				w.set(test.before.found, test.before.err)
				ask(false)
				before := ask(false)
				w.set(test.after.found, test.after.err)
				time.Sleep(time.Minute)
				ask(true)
				after := ask(false)
				if after.State != test.want || after.Signatures != test.signatures {
					t.Errorf("before %+v\nafter %+v", before, after)
				}
				if (after.Generation == before.Generation) != test.sameAgain {
					t.Errorf("generations %d and %d", before.Generation, after.Generation)
				}
				if !strings.Contains(after.Detail, test.detail) || test.detail == "" && after.Detail != "" {
					t.Errorf("detail %q, not %q", after.Detail, test.detail)
				}
			})
		})
	}
}

func TestTheDetailOfAFailureGoesWhenLookingSucceedsAgain(t *testing.T) {
	inTime(t, func(t *testing.T, w *world, ask func(bool) policy.Evidence) {
		ask(false)
		w.set(evidence.Found{}, errDown)
		time.Sleep(time.Minute)
		ask(true)
		if got := ask(false); !strings.Contains(got.Detail, "registry is down") {
			t.Fatalf("%+v", got)
		}
		w.set(evidence.Found{}, nil)
		time.Sleep(time.Minute)
		ask(true)
		if got := ask(false); got.State != policy.None || got.Detail != "" {
			t.Errorf("%+v", got)
		}
	})
}

func TestReplacedSignaturesStayForThoseWhoReadThem(t *testing.T) {
	inTime(t, func(t *testing.T, w *world, ask func(bool) policy.Evidence) {
		w.set(found("a"), nil)
		ask(false)
		before := ask(false)
		w.set(found("b", "c"), nil)
		time.Sleep(20 * time.Second)
		ask(true)
		after := ask(false)
		if diff := cmp.Diff([]string{"a"}, filesIn(t, before.Directory)); diff != "" {
			t.Errorf("the old set (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"b", "c"}, filesIn(t, after.Directory)); diff != "" {
			t.Errorf("the new set (-want +got):\n%s", diff)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if exists(before.Directory) {
			t.Error("the old set is still there half a minute later")
		}
	})
}

func TestNoGenerationIsUsedTwice(t *testing.T) {
	seen := map[uint64]policy.Evidence{}
	inTime(t, func(t *testing.T, w *world, ask func(bool) policy.Evidence) {
		answers := []evidence.Found{found("a"), {}, found("b"), found("a"), found("a", "b")}
		for i := range 50 {
			w.set(answers[i%len(answers)], nil)
			if i%7 == 3 {
				w.set(evidence.Found{}, errDown)
			}
			got := ask(true)
			if before, ok := seen[got.Generation]; ok && before != got {
				t.Fatalf("generation %d is of\n%+v and of\n%+v", got.Generation, before, got)
			}
			seen[got.Generation] = got
			time.Sleep(16 * time.Second)
		}
	})
	if len(seen) < 10 {
		t.Errorf("only %d generations were seen", len(seen))
	}
}
