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

	"github.com/countersign/countersign/policy/text"
)

// ErrNoDaemon reports that nobody listens at the socket. Other errors do not tell whether a daemon runs.
var ErrNoDaemon = errors.New("no daemon listens")

// Client calls the daemon at one socket.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client of the daemon at a path. Each call makes a new connection.
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

// Call sends a request to an endpoint, such as "/v1/pull", and returns the answer. It returns [ErrNoDaemon] if nobody
// listens, an [*Error] if the daemon answers with an error, the context's error if the context ends first, and another
// error if the answer is invalid.
func Call[Answer, Request any](ctx context.Context, c *Client, endpoint string, request Request) (Answer, error) {
	return CallLarge[Answer](ctx, c, Large{endpoint, MaxMessage}, request)
}

// Large is an endpoint whose answers have at most Limit bytes.
type Large struct {
	Endpoint string
	Limit    int64
}

// CallLarge is [Call] for an endpoint with a limit of its own.
func CallLarge[Answer, Request any](ctx context.Context, c *Client, to Large, request Request) (Answer, error) {
	var none Answer
	document, err := json.Marshal(request)
	if err != nil {
		return none, fmt.Errorf("calling the daemon: %w", err)
	}
	response, err := c.Post(ctx, to.Endpoint, "application/json", bytes.NewReader(document))
	if err != nil {
		return none, err
	}
	defer response.Body.Close()
	answer, err := decode[Answer](io.LimitReader(response.Body, to.Limit))
	if err != nil {
		return none, fmt.Errorf("calling the daemon at %s: its answer: %w", c.path, err)
	}
	return answer, nil
}

// Post sends a request with a body of any type and length, and returns the response, whose status is 200. The caller
// closes its body and limits what it reads. Errors are those of [Call].
func (c *Client) Post(ctx context.Context, endpoint, contentType string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://countersign"+endpoint, body)
	if err != nil {
		return nil, fmt.Errorf("calling the daemon: %w", err)
	}
	request.Header.Set("Content-Type", contentType)
	response, err := c.http.Do(request)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // The URL in the outer error is an artefact of HTTP over a unix socket.
		}
		return nil, fmt.Errorf("calling the daemon at %s: %w", c.path, err)
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer response.Body.Close()
	told, err := decode[Error](io.LimitReader(response.Body, MaxMessage))
	if err != nil || told.Message == "" {
		return nil, fmt.Errorf("calling the daemon at %s: it answers %s", c.path, response.Status)
	}
	return nil, &Error{Status: response.StatusCode, Message: text.Summary(told.Message, maxLine)}
}
