package signature_test

import (
	"os"
	"sync"
	"testing"

	"github.com/countersign/countersign/policy/signature"
)

// TestOneParserAndOneJudgeServeAll is for the race detector: many goroutines share one parser and one judge.
func TestOneParserAndOneJudgeServeAll(t *testing.T) {
	parser, judge := signature.NewParser(signature.Kinds(nil)), signature.NewJudge()
	var group sync.WaitGroup
	for name, test := range map[string]fixtureCase{
		"key":     sigstoreFixtures()["signed by the key"],
		"keyless": sigstoreFixtures()["keyless"],
		"pki":     pkiFixtures()["certified for a person and a host"],
		"GPG":     gpgFixtures()["GPG"],
	} {
		app := newSample(t, fixture(t, test.manifest), fixture(t, test.signatures))
		ref := named(t, test.reference)
		for range 4 {
			group.Go(func() {
				document, err := parser.Parse([]byte(list(test.requirement)), os.ReadFile)
				if err != nil {
					t.Error(err)
					return
				}
				if finding := judgeAll(t, judge, document.Default, ref, app); !finding.Met {
					t.Errorf("%s: %s", name, finding.Detail)
				}
			})
		}
	}
	group.Wait()
}
