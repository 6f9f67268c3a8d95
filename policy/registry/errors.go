package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"

	"github.com/countersign/countersign/policy/registry/kubeletcreds"
)

// BusyError reports that a registry requests a pause, or is paused because it failed repeatedly.
type BusyError struct {
	Status int
	// After is how long to wait; zero: unknown.
	After time.Duration
}

// Error implements error, in one line.
func (e *BusyError) Error() string {
	if e.After > 0 {
		return fmt.Sprintf("%s; next request in %s", statusText(e.Status), e.After.Round(time.Second))
	}
	return statusText(e.Status)
}

// FetchError describes in one line what was requested, the URL and the problem. The URL has no credentials, no query,
// which can be a credential, and no local port: equal failures have equal texts.
type FetchError struct {
	// What was requested, from which host, and the problem.
	What, Host, Problem string
	// URL is the host's URL, and Note further information about the hosts, or empty.
	URL, Note string
	Cause     error
	// Final reports whether the host requires other credentials, or a pause: no further request to it is useful.
	Final bool
}

// Error implements error, in one line.
func (e *FetchError) Error() string {
	text := fmt.Sprintf("fetching %s from %s: %s", e.What, e.URL, e.Problem)
	if e.Note != "" {
		text += " (" + e.Note + ")"
	}
	return text
}

// Unwrap returns the cause.
func (e *FetchError) Unwrap() error { return e.Cause }

// Explain converts an error for operators.
func (s *Session) Explain(ctx context.Context, what string, host docker.RegistryHost, err error) *FetchError {
	s.mu.Lock()
	status, answeredBy := s.status, s.answeredBy
	s.mu.Unlock()
	// hosts.toml is read only for an error that it may explain.
	note := hostsNote(s.config.HostsDirectory, s.domain)
	e := &FetchError{What: what, Host: host.Host, URL: URL(host), Note: note, Cause: err}
	var unusable *kubeletcreds.Error
	var busy *BusyError
	switch {
	case errors.As(err, &unusable):
		e.Problem, e.Final = unusable.Error(), true
	case denied(err, status):
		if answeredBy == "" {
			answeredBy = host.Host
		}
		e.Problem, e.Final = fmt.Sprintf("%s; %s", statusText(status), s.credentials.advise(answeredBy)), true
	case errors.As(err, &busy):
		e.Problem, e.Final = busy.Error(), true
	case ctx.Err() != nil:
		e.Problem = "no answer within the time that a fetch may take"
	default:
		e.Problem = Plain(err)
	}
	return e
}

// URL returns the URL of a host's API.
func URL(host docker.RegistryHost) string {
	return (&url.URL{Scheme: host.Scheme, Host: host.Host, Path: host.Path}).String()
}

// StatusError is an HTTP status other than success.
type StatusError struct {
	Status int
	Cause  error
}

// Error implements error, in one line.
func (e *StatusError) Error() string { return statusText(e.Status) }

// Unwrap returns the cause.
func (e *StatusError) Unwrap() error { return e.Cause }

func statusText(status int) string { return fmt.Sprintf("%d %s", status, http.StatusText(status)) }

// denied reports whether the registry requires other credentials.
func denied(err error, status int) bool {
	if status != http.StatusUnauthorized && status != http.StatusForbidden {
		return false
	}
	var unexpected remoteerrors.ErrUnexpectedStatus
	var answer *StatusError
	return errors.As(err, &unexpected) || errors.As(err, &answer) || errors.Is(err, docker.ErrInvalidAuthorization)
}

// Plain returns the cause of an error, without the wrapping that contains URLs and ports.
func Plain(err error) string {
	var address *addressError
	var unexpected remoteerrors.ErrUnexpectedStatus
	var bad *ContentError
	var system *os.SyscallError
	var name *net.DNSError
	var network net.Error
	var inURL *url.Error
	switch {
	case errors.As(err, &address):
		return address.Error()
	case errors.As(err, &unexpected):
		return fmt.Sprintf("%d %s", unexpected.StatusCode, http.StatusText(unexpected.StatusCode))
	case errors.As(err, &bad):
		return err.Error()
	case errors.As(err, &name):
		return "its name cannot be resolved: " + name.Err
	case errors.As(err, &system):
		return system.Error()
	case errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return "the connection was closed before the end of the answer"
	case errors.As(err, &inURL):
		return inURL.Err.Error()
	default:
		return err.Error()
	}
}

// JoinErrors joins several errors to one in one line; nil for none.
func JoinErrors(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	default:
		return &joinedError{all: errs}
	}
}

// joinedError is several errors in one line.
type joinedError struct{ all []error }

// Error implements error.
func (e *joinedError) Error() string {
	texts := make([]string, 0, len(e.all))
	for _, err := range e.all {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the errors.
func (e *joinedError) Unwrap() []error { return e.all }
