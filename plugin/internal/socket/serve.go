package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/countersign/countersign/policy/text"
)

// MaxMessage limits a request and an answer of [Endpoint], in bytes.
const MaxMessage = 64 << 10

// grace is how long requests in progress may take after their contexts have ended.
const grace = 5 * time.Second

// Serve answers requests until the context ends. Then it cancels the contexts of requests in progress, waits up to five
// seconds for them, closes the listener, and returns nil on success. Handlers have no time limit.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       5 * time.Second,
		MaxHeaderBytes:    16 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(listener) }()
	select {
	case err := <-stopped:
		return fmt.Errorf("answering on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := server.Shutdown(ending)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	if served := <-stopped; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("shutting down the server on %s: %w", listener.Addr(), err)
	}
	return nil
}

// Error is an error that the daemon returns to its client instead of an answer.
type Error struct {
	// Status is an HTTP status: 4xx for a problem of the request, 5xx for a problem of the daemon.
	Status int `json:"-"`
	// Message is one line.
	Message string `json:"error"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Endpoint answers requests that consist of one JSON document of at most [MaxMessage] bytes. An [*Error] is answered
// with its status, and any other error with 500.
func Endpoint[Request, Answer any](answer func(context.Context, Request) (Answer, error)) http.Handler {
	return LargeEndpoint(MaxMessage, answer)
}

// LargeEndpoint is [Endpoint] for requests with another limit, in bytes.
func LargeEndpoint[Request, Answer any](
	limit int64, answer func(context.Context, Request) (Answer, error),
) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := decode[Request](http.MaxBytesReader(w, r.Body, limit))
		if err != nil {
			Fail(w, &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf("reading the request: %v", err)})
			return
		}
		answered, err := answer(r.Context(), request)
		if err != nil {
			Fail(w, err)
			return
		}
		reply(w, http.StatusOK, answered)
	})
}

// Fail answers with an error. The handler must not have written anything before.
func Fail(w http.ResponseWriter, err error) {
	told, ok := errors.AsType[*Error](err)
	if !ok {
		told = &Error{Status: http.StatusInternalServerError, Message: err.Error()}
	}
	told = &Error{Status: told.Status, Message: text.Summary(told.Message, maxLine)}
	reply(w, told.Status, told)
}

func reply(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here means that the client has disconnected.
	_ = json.NewEncoder(w).Encode(answer)
}

// decode reads one JSON document and nothing after it.
func decode[T any](r io.Reader) (T, error) {
	var value T
	decoder := json.NewDecoder(r)
	if err := decoder.Decode(&value); err != nil {
		return value, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return value, errors.New("data after the document")
	}
	return value, nil
}

// maxLine limits the message of an error, in bytes.
const maxLine = 4096
