package evidence_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/countersign/countersign/policy/registry"
)

// TestEachRequestIsReportedWithItsResult: by the registry's name in references, for each of its hosts.
func TestEachRequestIsReportedWithItsResult(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   registry.Result
	}{
		"nothing is there":       {status(http.StatusNotFound), registry.ResultNotFound},
		"a fault":                {status(http.StatusInternalServerError), registry.ResultError},
		"too many":               {status(http.StatusTooManyRequests), registry.ResultThrottled},
		"forbidden":              {status(http.StatusForbidden), registry.ResultUnauthorized},
		"the connection breaks":  {reset, registry.ResultError},
		"a way to this node":     {redirect("http://169.254.169.254/x"), registry.ResultBlocked},
		"a wish for credentials": {challenge("Basic realm=x"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.spoilBy(func(http.Handler) http.Handler { return test.answer })
			var mu sync.Mutex
			var reported []string
			keeper := open(t, reaching(registry.Config{
				HostsDirectory: hostsFor(t, "registry.example", fmt.Sprintf("server = \"http://%s\"\n", r.host)),
				Requested: func(registry string, result registry.Result) {
					mu.Lock()
					defer mu.Unlock()
					reported = append(reported, registry+" "+string(result))
				},
			}))
			fetched(t, keeper, parse(t, "registry.example/app"), manifestOf("image"))
			mu.Lock()
			defer mu.Unlock()
			if test.want == "" {
				if len(reported) > 0 {
					t.Errorf("reported %q", reported)
				}
				return
			}
			if want := "registry.example " + string(test.want); !slices.Contains(reported, want) {
				t.Errorf("reported %q, and not %q", reported, want)
			}
		})
	}
}
