package evidence_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign/countersign/policy/evidence"
)

// atOnce returns how many fetches from good.example run at once, of five that decisions wait for.
func (s *slots) atOnce(keeper *evidence.Keeper) int {
	s.t.Helper()
	for i := range 5 {
		lookup(keeper, parse(s.t, "good.example/app:v1"), manifestOf(fmt.Sprint("at once ", i)))
	}
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running["good.example"]
}

// TestWaitingNamesEvictNoMark: more names wait than registries can have a mark.
func TestWaitingNamesEvictNoMark(t *testing.T) {
	isNamed := func(registry string) bool { return registry == "good.example" }
	inSlotsNaming(t, isNamed, func(keeper *evidence.Keeper, s *slots) {
		m := minted{keeper, s, "minted-%d.example/app:v1", 1100}
		s.fails("good.example", context.DeadlineExceeded)
		m.ask()
		time.Sleep(5 * time.Second) // So that no fetch of theirs ends when this one does.
		lookup(keeper, parse(s.t, "good.example/app:v1"), manifestOf("image"))
		for range 11 {
			m.ask()
			time.Sleep(time.Second)
		}
		if got := s.atOnce(keeper); got != 2 {
			s.t.Errorf("%d fetches run at once from a registry that is named and slow, not 2", got)
		}
	})
}

// TestMintedNamesDoNotEvictAMarkOfARegistryThatADocumentNames: the document names it after its last fetch, and the
// names of others have a better rank, because they answer.
func TestMintedNamesDoNotEvictAMarkOfARegistryThatADocumentNames(t *testing.T) {
	var exists atomic.Bool
	isNamed := func(registry string) bool { return exists.Load() && registry == "good.example" }
	inSlotsNaming(t, isNamed, func(keeper *evidence.Keeper, s *slots) {
		s.fails("good.example", context.DeadlineExceeded)
		lookup(keeper, parse(s.t, "good.example/app:v1"), manifestOf("image"))
		time.Sleep(11 * time.Second)
		exists.Store(true)
		for i := range 1100 {
			host := fmt.Sprintf("minted-%d.example", i)
			s.answersAgain(host)
			s.wait(keeper, host+"/app:v1", "image", func() {})
		}
		s.fails("good.example", context.DeadlineExceeded)
		if got := s.atOnce(keeper); got != 2 {
			s.t.Errorf("%d fetches run at once from a registry that is named and slow, not 2", got)
		}
	})
}
