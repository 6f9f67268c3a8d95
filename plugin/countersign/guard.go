package main

import (
	"errors"
	"net/http"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// guarded has a handler's panics told of and answered with status 500. net/http would survive them, too, but would
// only close the connection, and write a text to the standard error that no metric counts.
func guarded(part string, told policy.PanicFunc, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(cause)
			}
			_ = policy.Recovered(part, told, cause)
			socket.Fail(w, errors.New("the daemon failed to answer: a fault of countersign, see its log"))
		}()
		next.ServeHTTP(w, r)
	})
}
