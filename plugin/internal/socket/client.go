package socket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
)

// ErrNoDaemon says that nobody listens at the socket. A socket that may not be used says nothing about that.
var ErrNoDaemon = errors.New("the daemon is not there")

// Client asks the daemon at one socket.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client of the daemon at a path. It connects when it is asked to ask, each time anew.
func NewClient(path string) *Client {
	return &Client{path: path, http: http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				connection, err := new(net.Dialer).DialContext(ctx, "unix", path)
				if err != nil && ctx.Err() == nil && !errors.Is(err, fs.ErrPermission) {
					err = fmt.Errorf("%w: %w", ErrNoDaemon, err)
				}
				return connection, err
			},
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Call asks at an endpoint, such as "/v1/pull", and returns the answer. Errors: one that is [ErrNoDaemon] where nobody
// listens, an [*Error] where the daemon gave that instead of an answer, the context's where that ended first, and
// others where what came is no answer of countersign's.
func Call[Answer, Request any](ctx context.Context, c *Client, endpoint string, request Request) (Answer, error) {
	var none Answer
	document, err := json.Marshal(request)
	if err != nil {
		return none, fmt.Errorf("asking the daemon: %w", err)
	}
	response, err := c.Post(ctx, endpoint, "application/json", bytes.NewReader(document))
	if err != nil {
		return none, err
	}
	defer response.Body.Close()
	answer, err := decode[Answer](io.LimitReader(response.Body, MaxMessage))
	if err != nil {
		return none, fmt.Errorf("asking the daemon at %s: its answer: %w", c.path, err)
	}
	return answer, nil
}

// Post asks at an endpoint with a document of any kind and length, and returns the response, whose status is 200 and
// whose body the caller closes and bounds. Its errors are those of [Call].
func (c *Client) Post(ctx context.Context, endpoint, contentType string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://countersign"+endpoint, body)
	if err != nil {
		return nil, fmt.Errorf("asking the daemon: %w", err)
	}
	request.Header.Set("Content-Type", contentType)
	response, err := c.http.Do(request)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // It names a URL that means nothing to anybody.
		}
		return nil, fmt.Errorf("asking the daemon at %s: %w", c.path, err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	told, err := decode[Error](io.LimitReader(response.Body, MaxMessage))
	if err != nil || told.Message == "" {
		return nil, fmt.Errorf("asking the daemon at %s: it answers %s", c.path, response.Status)
	}
	return nil, &Error{Status: response.StatusCode, Message: oneLine(told.Message)}
}
