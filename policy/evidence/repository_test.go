package evidence_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/fetch"
)

// mapped returns a keeper that looks for signatures in other repositories, too.
func mapped(t *testing.T, repositories map[string]string) *evidence.Keeper {
	t.Helper()
	return open(t, evidence.Config{Fetcher: fetch.New(fetch.Config{Repositories: repositories})})
}

// TestSignaturesInAnotherRepositoryAreFound: by the longest prefix, in addition to those next to the image.
func TestSignaturesInAnotherRepositoryAreFound(t *testing.T) {
	images, signatures := newRegistry(t), newRegistry(t)
	m := manifestOf("image")
	images.sign(t, "team/both", m, signed(1))
	for repository, i := range map[string]int{"host": 2, "team": 3, "app": 4} {
		signatures.sign(t, repository, m, signed(i))
	}
	keeper := mapped(t, map[string]string{
		images.host: signatures.host + "/host", images.host + "/team": signatures.host + "/team",
		images.host + "/team/app": signatures.host + "/app", images.host + "/teams": signatures.host + "/none",
	})
	for repository, want := range map[string][]int{
		"other": {2}, "team/x": {3}, "team/both": {3, 1}, "team": {3}, "team/app": {4}, "team/app/x": {4}, "team/apps": {3},
		"teamx": {2}, "teams/x": nil,
	} {
		got := fetched(t, keeper, images.named(t, repository), m)
		if got.Signatures != len(want) || (got.State == policy.Found) != (want != nil) {
			t.Errorf("%s: %+v; want %d signatures", repository, got, len(want))
			continue
		}
		for _, i := range want {
			if !slices.Contains(filesIn(t, got.Directory), string(signed(i).file(t))) {
				t.Errorf("%s: it lacks signature %d", repository, i)
			}
		}
	}
}

// TestAnotherRepositoryIsPartOfTheAnswer: that there is none is for both to say, and what changes in one does not lose
// what is in the other.
func TestAnotherRepositoryIsPartOfTheAnswer(t *testing.T) {
	images, signatures := newRegistry(t), newRegistry(t)
	m := manifestOf("image")
	keeper := mapped(t, map[string]string{images.host: signatures.host + "/signatures"})
	app := images.named(t, "app")
	want := func(state policy.State, count int) {
		t.Helper()
		if got := fetched(t, keeper, app, m); got.State != state || got.Signatures != count {
			t.Errorf("%+v; want state %v and %d signatures", got, state, count)
		}
	}
	signatures.spoilBy(func(http.Handler) http.Handler { return status(http.StatusServiceUnavailable) })
	want(policy.Failed, 0)
	signatures.spoilBy(nil)
	want(policy.None, 0)
	signatures.sign(t, "signatures", m, signed(1))
	want(policy.Found, 1)
	images.sign(t, "app", m, signed(2))
	want(policy.Found, 2)
	signatures.sign(t, "signatures", m, signed(1), signed(3))
	want(policy.Found, 3)
	want(policy.Found, 3)
	signatures.spoilBy(func(http.Handler) http.Handler { return status(http.StatusServiceUnavailable) })
	want(policy.Found, 3)
}

// TestCredentialsOfARequestStayInTheImagesRegistry: another registry does not get a pull's secret.
func TestCredentialsOfARequestStayInTheImagesRegistry(t *testing.T) {
	images, signatures := newRegistry(t), newRegistry(t)
	m := manifestOf("image")
	signatures.sign(t, "signatures", m, signed(1))
	var sent []string
	guard := func(registry *testRegistry, secrets *[]string) {
		registry.spoilBy(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, secret, ok := r.BasicAuth(); ok {
					*secrets = append(*secrets, secret)
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("WWW-Authenticate", "Basic")
				w.WriteHeader(http.StatusUnauthorized)
			})
		})
	}
	var own []string
	guard(images, &own)
	guard(signatures, &sent)
	keeper := mapped(t, map[string]string{images.host: signatures.host + "/signatures"})
	credentials := func(string) (string, string, error) { return "alice", "secret of the pull", nil }
	_ = keeper.FetchWith(t.Context(), m, images.named(t, "app"), credentials)
	if len(own) == 0 || len(sent) > 0 {
		t.Errorf("the image's registry got %d secrets, and the other one %s", len(own), strings.Join(sent, ", "))
	}
}
