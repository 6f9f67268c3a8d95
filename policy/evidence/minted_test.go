package evidence_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// minted are the names of registries that an attacker invents, each of which hangs.
type minted struct {
	keeper *evidence.Keeper
	s      *slots
	// format makes the nth image.
	format string
	names  int
}

// ask has the evidence of all of them fetched.
func (m minted) ask() {
	for i := range m.names {
		m.keeper.Refetch(policy.Check{Manifests: many(0, 1), Reference: parse(m.s.t, fmt.Sprintf(m.format, i))})
	}
}

// TestMintedNamesDoNotDelayARegistryThatHasProvenItself: however many there are, and whether or not they have been seen
// before.
func TestMintedNamesDoNotDelayARegistryThatHasProvenItself(t *testing.T) {
	formats := map[string]string{
		"names below one domain": "minted-%d.evil.example/app:v1",
		"a domain each":          "minted-%d.example/app:v1",
		"ports":                  "evil.example:%d/app:v1",
	}
	proofs := map[string]func(minted, string){
		"a document names it": func(minted, string) {},
		"it answered before": func(m minted, image string) {
			m.s.wait(m.keeper, image, "earlier", func() {})
		},
	}
	for name, format := range formats {
		for proof, prove := range proofs {
			names := 200
			if name == "a domain each" {
				names = 5000 // More than are remembered, and more than wait.
			}
			t.Run(fmt.Sprintf("%s, %d %s", proof, names, name), func(t *testing.T) {
				isNamed := func(registry string) bool {
					return registry == "good.example:5000" && proof == "a document names it"
				}
				inSlotsNaming(t, isNamed, func(keeper *evidence.Keeper, s *slots) {
					s.quick["good.example:5000"] = true
					m := minted{keeper, s, format, names}
					prove(m, "good.example:5000/app:v1")
					for range 2 {
						m.ask()
						time.Sleep(10 * time.Second)
					}
					if took := s.wait(keeper, "good.example:5000/app:v2", "new", m.ask); took > time.Second {
						s.t.Errorf("a decision waited %v", took)
					}
				})
			})
		}
	}
}

// TestMintedNamesDoNotDelayANamedRegistryThatAnswersAgain: it did not answer for some time, as they never do,
// and containers wait for all of them.
func TestMintedNamesDoNotDelayANamedRegistryThatAnswersAgain(t *testing.T) {
	isNamed := func(registry string) bool { return registry == "good.example" }
	inSlotsNaming(t, isNamed, func(keeper *evidence.Keeper, s *slots) {
		create := func() {
			for i := range 900 {
				lookup(keeper, parse(s.t, fmt.Sprintf("minted-%d.example/app:v1", i)), manifestOf("image"))
			}
		}
		s.fails("good.example", context.DeadlineExceeded)
		for i := range 3 {
			create()
			lookup(keeper, parse(s.t, "good.example/app:v1"), manifestOf(fmt.Sprint(i)))
			time.Sleep(11 * time.Second)
		}
		s.answersAgain("good.example")
		for _, image := range []struct {
			manifest string
			within   time.Duration
		}{{"new", 11 * time.Second}, {"newer", time.Second}} { // A fetch that has begun hangs until its time is over.
			began, named, manifest := time.Now(), parse(s.t, "good.example/app:v1"), manifestOf(image.manifest)
			for lookup(keeper, named, manifest).State != policy.None && time.Since(began) < time.Hour {
				create()
				time.Sleep(time.Second)
			}
			if took := time.Since(began); took > image.within {
				s.t.Errorf("a decision about the %s image waited %v", image.manifest, took)
			}
		}
	})
}

// TestNamesBelowOneDomainTakeTurnsWithOthers: nothing is known of either.
func TestNamesBelowOneDomainTakeTurnsWithOthers(t *testing.T) {
	inSlots(t, func(keeper *evidence.Keeper, s *slots) {
		s.quick["good.example"] = true
		m := minted{keeper, s, "minted-%d.evil.example/app:v1", 2000}
		for range 2 {
			m.ask()
			time.Sleep(10 * time.Second)
		}
		if took := s.wait(keeper, "good.example/app:v1", "new", m.ask); took > 11*time.Second {
			s.t.Errorf("a decision waited %v", took)
		}
	})
}

// TestMintedNamesDoNotMakeAnAnswerForgotten: each of them answers, and earns what the others have.
func TestMintedNamesDoNotMakeAnAnswerForgotten(t *testing.T) {
	inSlots(t, func(keeper *evidence.Keeper, s *slots) {
		const image = "good.example/app:v1"
		s.quick["good.example"] = true
		s.wait(keeper, image, "earlier", func() {})
		for i := range 1500 {
			host := fmt.Sprintf("minted-%d.evil.example", i)
			s.quick[host] = true
			s.wait(keeper, host+"/app:v1", "image", func() {})
		}
		m := minted{keeper, s, "other-%d.example/app:v1", 200}
		m.ask()
		if took := s.wait(keeper, image, "new", m.ask); took > time.Second {
			s.t.Errorf("a decision waited %v", took)
		}
	})
}

// TestMintedNamesDoNotHideARegistryThatFails: failures are logged, and pauses are honoured, regardless of other
// failures.
func TestMintedNamesDoNotHideARegistryThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, start: time.Now()}
		var log strings.Builder
		config := evidence.Config{
			Directory: t.TempDir(), MaxSize: 1 << 30, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Named: func(registry string) bool { return registry == "good.example" },
		}
		keeper, err := evidence.OpenWith(config, w.look)
		if err != nil {
			t.Fatal(err)
		}
		defer keeper.Close()
		attack := func() {
			for i := range 1100 {
				_ = keeper.Fetch(t.Context(), manifestOf("image"), parse(t, fmt.Sprintf("minted-%d.evil.example/app", i)))
			}
		}
		w.set(evidence.Found{}, evidence.Busy(time.Minute))
		attack()
		if err := keeper.Fetch(t.Context(), manifestOf("image"), parse(t, "good.example/app")); err == nil {
			t.Fatal("the fetch does not fail")
		}
		attack()
		synctest.Wait() // The end of a fetch is logged after its caller has the result.
		if got := strings.Count(log.String(), "registry=good.example"); got != 1 {
			t.Errorf("that the registry fails is logged %d times", got)
		}
		w.set(evidence.Found{}, nil)
		err = keeper.Fetch(t.Context(), manifestOf("other"), parse(t, "good.example/app"))
		if err == nil || !strings.Contains(err.Error(), "asked for a pause") {
			t.Errorf("the registry is asked in its pause: %v", err)
		}
	})
}

// TestTenantsOfOneRegistryTakeTurns: one of them has pushed more than can be fetched, and what others push waits for
// one fetch.
func TestTenantsOfOneRegistryTakeTurns(t *testing.T) {
	named := func(string) bool { return true }
	for name, format := range map[string]string{
		"one repository":    "shared.example/evil/app:v%d",
		"many repositories": "shared.example/evil/app-%d:v1",
	} {
		t.Run(name, func(t *testing.T) {
			inSlotsNaming(t, named, func(keeper *evidence.Keeper, s *slots) {
				attack := func() {
					for i := range 400 {
						keeper.Refetch(policy.Check{Manifests: many(i, 1), Reference: parse(s.t, fmt.Sprintf(format, i))})
					}
				}
				for range 3 {
					attack()
					time.Sleep(10 * time.Second)
				}
				// Until a place is free, and the fetch itself.
				if took := s.wait(keeper, "shared.example/team/app:v1", "new", attack); took > 21*time.Second {
					s.t.Errorf("a decision waited %v", took)
				}
			})
		})
	}
}

// TestPlacesAreKeptForWhatIsKnown counts the fetches that run at once.
func TestPlacesAreKeptForWhatIsKnown(t *testing.T) {
	named := func(registry string) bool { return strings.HasPrefix(registry, "named-") }
	inSlotsNaming(t, named, func(keeper *evidence.Keeper, s *slots) {
		t := s.t
		running := func(what string, want int) {
			t.Helper()
			synctest.Wait()
			if got := s.now(); got != want {
				t.Errorf("%d fetches run with %s, not %d", got, what, want)
			}
		}
		for i := range 4 {
			host := fmt.Sprintf("answering-%d.example", i)
			s.quick[host] = true
			s.wait(keeper, host+"/app:v1", "earlier", func() {})
			s.quick[host] = false
		}
		s.fails("named-3.example", context.DeadlineExceeded)
		lookup(keeper, parse(t, "named-3.example/app:v1"), manifestOf("image"))
		minted{keeper, s, "slow-%d.example/app:v1", 3}.ask()
		time.Sleep(11 * time.Second)
		minted{keeper, s, "slow-%d.example/app:v2", 3}.ask()
		time.Sleep(5 * time.Second)
		for i := range 3 {
			lookup(keeper, parse(t, fmt.Sprintf("slow-%d.example/app:v1", i)), manifestOf("more"))
		}
		running("slow registries", 3)
		minted{keeper, s, "unknown-%d.example/app:v1", 30}.ask()
		running("unknown ones too", 4)
		minted{keeper, s, "answering-%d.example/app:v1", 4}.ask()
		running("those that answered before too", 6)
		for i := range 5 {
			lookup(keeper, parse(t, "named-1.example/app:v1"), manifestOf(fmt.Sprint(i)))
			lookup(keeper, parse(t, "named-2.example/app:v1"), manifestOf(fmt.Sprint(i)))
		}
		running("those that a document names too", 8)
		for i := range 5 {
			lookup(keeper, parse(t, "named-3.example/app:v1"), manifestOf(fmt.Sprint(i)))
		}
		running("one that a document names and that is slow too", 10)
	})
}
