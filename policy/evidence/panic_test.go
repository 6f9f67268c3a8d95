package evidence_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// TestAFetchThatPanicsFailsAndNothingElse: what a registry serves may panic a parser.
func TestAFetchThatPanicsFailsAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		broken.Store(true)
		look := func(named reference.Named, _, _ digest.Digest) (evidence.Found, error) {
			if broken.Load() && reference.Domain(named) == "hostile.example" {
				panic("out of order")
			}
			return found("signature"), nil
		}
		var reported []*policy.PanicError
		keeper, err := evidence.OpenWith(evidence.Config{
			Directory: t.TempDir(), MaxSize: 1 << 30,
			Panicked: func(failure *policy.PanicError) { reported = append(reported, failure) },
		}, look)
		if err != nil {
			t.Fatal(err)
		}
		defer keeper.Close()
		m, hostile, good := manifestOf("image"), parse(t, "hostile.example/app"), parse(t, "good.example/app")
		lookup(keeper, hostile, m)
		lookup(keeper, good, m)
		synctest.Wait()
		if got := lookup(keeper, hostile, m); got.State != policy.Failed ||
			got.Detail != "panic in a fetch of evidence: out of order" {
			t.Errorf("of the hostile registry: %+v", got)
		}
		if got := lookup(keeper, good, m); got.State != policy.Found {
			t.Errorf("of the other: %+v", got)
		}
		if len(reported) != 1 || !strings.Contains(reported[0].Stack, "panic_test.go") {
			t.Errorf("reported %v", reported)
		}
		broken.Store(false)
		time.Sleep(time.Minute)
		lookup(keeper, hostile, m)
		synctest.Wait()
		if got := lookup(keeper, hostile, m); got.State != policy.Found {
			t.Errorf("of the hostile registry, once it is not any more: %+v", got)
		}
	})
}
