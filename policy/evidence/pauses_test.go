package evidence_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/registry"
)

func TestARegistryThatGoesOnFailingIsNotAskedOnAndOn(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		most   int
		want   string
	}{
		"500": {http.StatusInternalServerError, 8, "500 Internal Server Error; next request in"},
		"502": {http.StatusBadGateway, 8, "502 Bad Gateway; next request in"},
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
	keeper := open(t, reaching(registry.Config{HostsDirectory: hosts}))
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
