package evidence

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// Result is what came of a request to a registry.
type Result string

// The results.
const (
	ResultOK           Result = "ok"
	ResultNotFound     Result = "not_found"
	ResultUnauthorized Result = "unauthorized"
	// ResultThrottled is a 429, or a request that was not made for one.
	ResultThrottled Result = "throttled"
	ResultError     Result = "error"
	ResultTimeout   Result = "timeout"
	// ResultBlocked is a request that was not made, because no registry may send us there.
	ResultBlocked Result = "blocked"
)

// Results returns all results, for metrics that start at zero.
func Results() []Result {
	return []Result{
		ResultOK, ResultNotFound, ResultUnauthorized, ResultThrottled, ResultError, ResultTimeout, ResultBlocked,
	}
}

// tell tells of a request. A 401 to a request without credentials is how a registry asks for them, and nothing came of
// that request yet.
func (r *registry) tell(request *http.Request, response *http.Response, err error) {
	if r.requested == nil {
		return
	}
	if response != nil && response.StatusCode == http.StatusUnauthorized && request.Header.Get("Authorization") == "" {
		return
	}
	r.requested(r.domain, resultOf(response, err))
}

func resultOf(response *http.Response, err error) Result {
	var blocked *addressError
	var busy *busyError
	var network net.Error
	switch {
	case errors.As(err, &blocked):
		return ResultBlocked
	case errors.As(err, &busy):
		return ResultThrottled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return ResultTimeout
	case err != nil || response == nil:
		return ResultError
	}
	switch status := response.StatusCode; {
	case status == http.StatusNotFound:
		return ResultNotFound
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return ResultUnauthorized
	case status == http.StatusTooManyRequests:
		return ResultThrottled
	case status >= http.StatusBadRequest:
		return ResultError
	default:
		return ResultOK
	}
}
