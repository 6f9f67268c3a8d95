package pull_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/rig"
)

// faults answers requests instead of a registry.
type faults struct {
	mutex sync.Mutex
	rules []*fault
}

// fault is a response to requests for paths with any of these prefixes.
type fault struct {
	paths  []string
	answer http.HandlerFunc
}

// wrap wraps the handler of a registry.
func (f *faults) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if answer := f.find(request.URL.Path); answer != nil {
			answer(writer, request)
			return
		}
		next.ServeHTTP(writer, request)
	})
}

func (f *faults) find(path string) http.HandlerFunc {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, rule := range f.rules {
		for _, beginning := range rule.paths {
			if strings.HasPrefix(path, beginning) {
				return rule.answer
			}
		}
	}
	return nil
}

// answer answers requests for paths with these prefixes until repair is called or the test ends.
func (f *faults) answer(t *testing.T, answer http.HandlerFunc, paths ...string) (repair func()) {
	t.Helper()
	rule := &fault{paths, answer}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.rules = append(f.rules, rule)
	repair = func() {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		rule.paths = nil
	}
	t.Cleanup(repair)
	return repair
}

// evidenceOf returns the prefixes of the paths of signatures in a repository: tags that are derived from a digest, and
// referrers.
func evidenceOf(repository string) []string {
	return []string{"/v2/" + repository + "/manifests/sha256-", "/v2/" + repository + "/referrers/"}
}

// hang does not answer until the client disconnects.
func hang(_ http.ResponseWriter, request *http.Request) { <-request.Context().Done() }

// hold does not answer, and reports each request, until the client disconnects or release is called. Then it resets the
// connection.
func hold(t *testing.T) (answer http.HandlerFunc, asked <-chan string, release func()) {
	t.Helper()
	arrived, released := make(chan string, 100), make(chan struct{})
	answer = func(writer http.ResponseWriter, request *http.Request) {
		arrived <- request.URL.Path
		select {
		case <-released:
			reset(writer, request)
		case <-request.Context().Done():
		}
	}
	return answer, arrived, sync.OnceFunc(func() { close(released) })
}

// awaits waits for a delayed request.
func awaits(t *testing.T, arrived <-chan string) {
	t.Helper()
	select {
	case <-arrived:
	case <-time.After(rig.Patience):
		t.Fatal("the registry received no request")
	}
}

// reset closes the connection without a response.
func reset(writer http.ResponseWriter, _ *http.Request) {
	connection, _, err := http.NewResponseController(writer).Hijack()
	if err == nil {
		_ = connection.Close()
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(writer http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			writer.Header().Set(header[i], header[i+1])
		}
		writer.WriteHeader(code)
	}
}

// redirect redirects the client to a URL, in which {path} is replaced by the requested path.
func redirect(to string) http.HandlerFunc {
	return func(writer http.ResponseWriter, request *http.Request) {
		http.Redirect(writer, request, strings.ReplaceAll(to, "{path}", request.URL.Path), http.StatusTemporaryRedirect)
	}
}
