package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
)

// busyError says that a registry wants to be left alone for a while, or has to be, for it has failed time and again.
type busyError struct {
	status int
	after  time.Duration
}

func (e *busyError) Error() string {
	if e.after > 0 {
		return fmt.Sprintf("%s, and not to be asked for %s", statusText(e.status), e.after.Round(time.Second))
	}
	return statusText(e.status)
}

// fetchError is one line that names what was asked, the URL of who was asked and what went wrong. The URL has neither
// credentials nor a query, which can be one, and there is no port of ours: the same failure has the same words.
type fetchError struct {
	what, host, problem string
	// at is the host's URL, and note what else there is to say of the hosts that were asked; or nothing.
	at, note string
	cause    error
	// final says that the host wants other credentials, or to be left alone: it need not be asked anything else.
	final bool
}

func (e *fetchError) Error() string {
	text := fmt.Sprintf("fetching %s from %s: %s", e.what, e.at, e.problem)
	if e.note != "" {
		text += " (" + e.note + ")"
	}
	return text
}

func (e *fetchError) Unwrap() error { return e.cause }

// explain returns an error as an operator wants to read it.
func (r *registry) explain(ctx context.Context, what string, host docker.RegistryHost, err error) error {
	r.mu.Lock()
	status, answeredBy := r.status, r.answeredBy
	r.mu.Unlock()
	e := &fetchError{what: what, host: host.Host, at: urlOf(host), note: r.note, cause: err}
	var unusable *credentialsError
	var busy *busyError
	var unfinished *UnfinishedError
	switch {
	case errors.As(err, &unusable):
		e.problem, e.final = unusable.Error(), true
	case denied(err, status):
		if answeredBy == "" {
			answeredBy = host.Host
		}
		e.problem, e.final = fmt.Sprintf("%s; %s", statusText(status), r.credentials.advise(answeredBy)), true
	case errors.As(err, &busy):
		e.problem, e.final = busy.Error(), true
	case errors.As(err, &unfinished):
		e.problem = unfinished.Error()
	case ctx.Err() != nil:
		e.problem = "no answer within the time that a fetch may take"
	default:
		e.problem = plain(err)
	}
	return e
}

// urlOf is where a host of a registry is asked.
func urlOf(host docker.RegistryHost) string {
	return (&url.URL{Scheme: host.Scheme, Host: host.Host, Path: host.Path}).String()
}

// final reports whether a host need not be asked anything else.
func final(err error) bool {
	failed, ok := errors.AsType[*fetchError](err)
	return ok && failed.final
}

// statusError is an answer that is no answer to what was asked.
type statusError struct {
	status int
	cause  error
}

func (e *statusError) Error() string { return statusText(e.status) }

func (e *statusError) Unwrap() error { return e.cause }

func statusText(status int) string { return fmt.Sprintf("%d %s", status, http.StatusText(status)) }

// denied reports whether an error is that the registry wants other credentials.
func denied(err error, status int) bool {
	if status != http.StatusUnauthorized && status != http.StatusForbidden {
		return false
	}
	var unexpected remoteerrors.ErrUnexpectedStatus
	var answer *statusError
	return errors.As(err, &unexpected) || errors.As(err, &answer) || errors.Is(err, docker.ErrInvalidAuthorization)
}

// plain returns the heart of an error, without the layers of wrapping that name URLs and ports.
func plain(err error) string {
	var address *addressError
	var unexpected remoteerrors.ErrUnexpectedStatus
	var bad *badLayer
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
		return "the connection was closed in the middle of an answer"
	case errors.As(err, &inURL):
		return inURL.Err.Error()
	default:
		return err.Error()
	}
}

// exists reports whether there is a file, or something that keeps us from knowing.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
