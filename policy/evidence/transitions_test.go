package evidence_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

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
			inTime(t, func(w *world, ask func(bool) policy.Evidence) {
				t := w.t
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
				if same := after.Generation == before.Generation; same != test.sameAgain {
					t.Errorf("generations %d and %d", before.Generation, after.Generation)
				}
				if !strings.Contains(after.Detail, test.detail) || len(test.detail) == 0 != (len(after.Detail) == 0) {
					t.Errorf("detail %q, not %q", after.Detail, test.detail)
				}
			})
		})
	}
}

func TestTheDetailOfAFailureGoesWhenLookingSucceedsAgain(t *testing.T) {
	inTime(t, func(w *world, ask func(bool) policy.Evidence) {
		t := w.t
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
	inTime(t, func(w *world, ask func(bool) policy.Evidence) {
		t := w.t
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
	inTime(t, func(w *world, ask func(bool) policy.Evidence) {
		t := w.t
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
