package evidence_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// TestFailuresAfterAnAnswerAreReported: an image that was found unsigned remains so while its registry is down, and
// both the detail and the log report why that may be out of date.
func TestFailuresAfterAnAnswerAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, start: time.Now()}
		var log strings.Builder
		keeper, err := evidence.OpenWith(evidence.Config{
			Directory: t.TempDir(), MaxSize: 1 << 30, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		}, w.look)
		if err != nil {
			t.Fatal(err)
		}
		defer keeper.Close()
		named, m := parse(t, "registry.example/app:v1"), manifestOf("image")
		ask := func() policy.Evidence {
			keeper.Refetch(policy.Check{Manifests: manifests(m), Reference: named})
			time.Sleep(20 * time.Second)
			synctest.Wait()
			return lookup(keeper, named, m)
		}
		first := time.Now().UTC().Format(time.RFC3339)
		if got := ask(); got.State != policy.None || got.Detail != "" {
			t.Fatalf("at first: %+v", got)
		}
		w.set(evidence.Found{}, errDown)
		for range 3 {
			got := ask()
			if got.State != policy.None || !strings.HasPrefix(got.Detail, "none was found at "+first) ||
				!strings.Contains(got.Detail, ", and requests have been failing since ") ||
				!strings.HasSuffix(got.Detail, ": the registry is down") {
				t.Errorf("while it is down: %+v", got)
			}
		}
		w.set(evidence.Found{}, nil)
		if got := ask(); got.State != policy.None || got.Detail != "" {
			t.Errorf("when it is up again: %+v", got)
		}
		for _, line := range []string{
			`level=WARN msg="requests for signatures fail: evidence that was found before stays in use" ` +
				`registry=registry.example error="the registry is down"`,
			`level=INFO msg="requests for signatures succeed again" registry=registry.example`,
		} {
			if strings.Count(log.String(), line) != 1 {
				t.Errorf("it is not said once: %s\n%s", line, log.String())
			}
		}
	})
}
