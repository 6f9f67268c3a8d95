package registry

import (
	"context"
	"errors"
	"net"
	"net/http"
)

// Result is the result of a request to a registry.
type Result string

// The results.
const (
	ResultOK           Result = "ok"
	ResultNotFound     Result = "not_found"
	ResultUnauthorized Result = "unauthorized"
	// ResultThrottled is a 429, or a request that was not made because of an earlier one.
	ResultThrottled Result = "throttled"
	ResultError     Result = "error"
	ResultTimeout   Result = "timeout"
	// ResultBlocked is a request that was not made because no registry may redirect there.
	ResultBlocked Result = "blocked"
)

// Results returns all results, for metrics that start at zero.
func Results() []Result {
	return []Result{
		ResultOK, ResultNotFound, ResultUnauthorized, ResultThrottled, ResultError, ResultTimeout, ResultBlocked,
	}
}

// report reports a request. A 401 to a request without credentials is the challenge of the registry: that request has
// no result yet.
func (s *Session) report(request *http.Request, response *http.Response, err error) {
	if s.config.Requested == nil {
		return
	}
	if response != nil && response.StatusCode == http.StatusUnauthorized && request.Header.Get("Authorization") == "" {
		return
	}
	s.config.Requested(s.domain, resultOf(response, err))
}

func resultOf(response *http.Response, err error) Result {
	var blocked *addressError
	var busy *BusyError
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
