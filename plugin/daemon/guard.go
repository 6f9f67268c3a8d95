package daemon

import (
	"errors"
	"net/http"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// guarded answers a panic of a handler with status 500, and calls panicked. net/http recovers too, but it only closes
// the connection and writes to standard error, and no metric counts it.
func guarded(part string, panicked policy.PanicFunc, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(cause)
			}
			_ = policy.Recovered(part, panicked, cause)
			socket.Fail(w, errors.New("the daemon failed: this is a bug in countersign, see its log"))
		}()
		next.ServeHTTP(w, r)
	})
}
