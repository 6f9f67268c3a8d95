package evidence_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

// pausedFor returns how long a host is left alone after answers.
func pausedFor(t *testing.T, answers, status int, retryAfter string) time.Duration {
	t.Helper()
	var took time.Duration
	synctest.Test(t, func(*testing.T) {
		pauses, start := evidence.NewPauses(), time.Now()
		for range answers {
			_ = pauses.Answered("registry.example", status, retryAfter)
		}
		for pauses.MayAsk("registry.example") != nil {
			time.Sleep(10 * time.Millisecond)
		}
		took = time.Since(start)
		if pauses.MayAsk("other.example") != nil {
			took = -1
		}
	})
	return took
}

func TestAHostIsLeftAloneAsLongAsItWantsOrNeeds(t *testing.T) {
	for name, test := range map[string]struct {
		answers, status int
		retryAfter      string
		least, most     time.Duration
	}{
		"it answers":                         {9, 200, "", 0, 0},
		"it has nothing":                     {9, 404, "7", 0, 0},
		"it wants to be left alone":          {1, 429, "", 750 * time.Millisecond, time.Second},
		"for a time that it names":           {1, 429, "40", 40 * time.Second, 40 * time.Second},
		"for a time that it names, with 503": {1, 503, "40", 40 * time.Second, 40 * time.Second},
		"for a year":                         {1, 429, "31536000", time.Minute, time.Minute},
		"time and again":                     {4, 429, "", 6 * time.Second, 8 * time.Second},
		"it has failed":                      {5, 500, "", 0, 0},
		"it has failed, and names a time":    {1, 500, "40", 0, 0},
		"it goes on failing":                 {6, 500, "", 750 * time.Millisecond, time.Second},
		"it goes on and on failing":          {9, 502, "", 6 * time.Second, 8 * time.Second},
		"it never does anything but fail":    {99, 503, "", 11 * time.Second, 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			got := pausedFor(t, test.answers, test.status, test.retryAfter)
			if got < test.least || got > test.most+10*time.Millisecond {
				t.Errorf("for %v, not for %v to %v", got, test.least, test.most)
			}
		})
	}
}

func TestAnyOtherAnswerEndsTheFailures(t *testing.T) {
	pauses := evidence.NewPauses()
	for range 5 {
		for range 5 {
			_ = pauses.Answered("registry.example", 500, "")
		}
		_ = pauses.Answered("registry.example", 404, "")
	}
	if err := pauses.MayAsk("registry.example"); err != nil || pauses.Hosts() != 0 {
		t.Errorf("%v; %d hosts are remembered", err, pauses.Hosts())
	}
}

func TestNotAllHostsThatFailAreRemembered(t *testing.T) {
	pauses := evidence.NewPauses()
	for i := range 5000 {
		_ = pauses.Answered(fmt.Sprint(i), 429, "60")
	}
	if hosts := pauses.Hosts(); hosts > 1024 {
		t.Errorf("%d are", hosts)
	}
}

func TestARegistryThatGoesOnFailingIsNotAskedOnAndOn(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		most   int
		want   string
	}{
		"500": {http.StatusInternalServerError, 8, "500 Internal Server Error, and not to be asked for"},
		"502": {http.StatusBadGateway, 8, "502 Bad Gateway, and not to be asked for"},
		"429": {http.StatusTooManyRequests, 1, "429 Too Many Requests"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.spoilBy(always(test.status))
			keeper := open(t, evidence.Config{})
			var all []error
			for i := range 20 {
				all = append(all, keeper.Fetch(t.Context(), manifestOf(fmt.Sprint(i)), r.named(t, fmt.Sprintf("app%d", i))))
			}
			if err := errors.Join(all...); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v\nlacks %q", err, test.want)
			}
			if asked := len(r.asked()); asked > test.most {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

func TestAMirrorThatWantsToBeLeftAloneIsWhileTheRegistryIsAsked(t *testing.T) {
	mirror, r := newRegistry(t), newRegistry(t)
	mirror.spoilBy(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusTooManyRequests)
		})
	})
	hosts := hostsFor(t, "registry.example", fmt.Sprintf("server = %q\n[host.%q]\n", r.server.URL, mirror.server.URL))
	keeper := open(t, reaching(evidence.RegistryConfig{HostsDirectory: hosts}))
	for i := range 5 {
		m := manifestOf(fmt.Sprint(i))
		r.sign(t, "app", m, signed(i))
		if got := fetched(t, keeper, parse(t, "registry.example/app:v1"), m); got.State != policy.Found {
			t.Errorf("%+v", got)
		}
	}
	if asked := mirror.asked(); len(asked) != 1 {
		t.Errorf("the mirror was asked %v", asked)
	}
}

func TestABundleThatIsAttachedLateCounts(t *testing.T) {
	eachWay(t, func(p pusher) {
		m, other := manifestOf("image"), statement(signs, 1)
		keeper, named := open(p.t, evidence.Config{}), p.named(p.t, "app")
		if got := fetched(p.t, keeper, named, m); got.State != policy.None {
			p.t.Fatalf("%+v", got)
		}
		p.list(m, p.attach(m, referrer{content: other, predicate: signs}))
		if got := fetched(p.t, keeper, named, m); got.Bundles != 1 {
			p.t.Errorf("after none: %+v", got)
		}
	})
}
