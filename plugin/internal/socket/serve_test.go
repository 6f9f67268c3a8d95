package socket_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/countersign/countersign/plugin/internal/socket"
)

type echoRequest struct {
	Text string `json:"text"`
}

type echoAnswer struct {
	Text string `json:"text"`
}

// serve serves a handler at a socket, and returns a client and a function that stops the server.
func serve(t *testing.T, handler http.Handler) (client *socket.Client, stop func() error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener := listen(t, path)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- socket.Serve(ctx, listener, handler) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return socket.NewClient(path), stop
}

func echo(_ context.Context, r echoRequest) (echoAnswer, error) { return echoAnswer(r), nil }

func TestRequestsAreAnsweredConcurrently(t *testing.T) {
	const callers = 8
	var together sync.WaitGroup
	together.Add(callers)
	client, _ := serve(t, socket.Endpoint(func(_ context.Context, r echoRequest) (echoAnswer, error) {
		together.Done()
		together.Wait()
		return echoAnswer(r), nil
	}))
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			want := fmt.Sprintf("request %d", i)
			got, err := socket.Call[echoAnswer](t.Context(), client, "/", echoRequest{want})
			if err != nil || got.Text != want {
				t.Errorf("got %q, %v; want %q", got.Text, err, want)
			}
		})
	}
	all.Wait()
}

func TestAnErrorKeepsItsStatus(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		status int
		want   string
	}{
		"a problem of the request": {&socket.Error{Status: 422, Message: "no such image"}, 422, "no such image"},
		"the same within another error": {
			fmt.Errorf("fetching: %w", &socket.Error{Status: 404, Message: "it is unknown"}), 404, "it is unknown",
		},
		"another error":    {errors.New("out of luck"), 500, "out of luck"},
		"of several lines": {errors.New("out\nof\r\nluck"), 500, "out of luck"},
		"far too long":     {errors.New(strings.Repeat("x", 1<<20)), 500, strings.Repeat("x", 4093) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := serve(t, socket.Endpoint(func(context.Context, echoRequest) (echoAnswer, error) {
				return echoAnswer{}, test.err
			}))
			_, err := socket.Call[echoAnswer](t.Context(), client, "/", echoRequest{})
			reported, ok := errors.AsType[*socket.Error](err)
			if !ok || reported.Status != test.status || reported.Message != test.want {
				t.Errorf("got %v, want %d: %s", err, test.status, test.want)
			}
		})
	}
}

func TestRequestsAreOneDocument(t *testing.T) {
	handler := socket.Endpoint(echo)
	for name, test := range map[string]struct {
		body   string
		status int
	}{
		"one document":                    {`{"text":"a"}`, 200},
		"with a field of a later version": {`{"text":"a","more":1}`, 200},
		"two documents":                   {`{"text":"a"}{"text":"b"}`, 400},
		"half a document":                 {`{"text":`, 400},
		"none":                            {``, 400},
		"of another type":                 {`["a"]`, 400},
		"too long":                        {`{"text":"` + strings.Repeat("a", socket.MaxMessage) + `"}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(test.body)))
			if recorder.Code != test.status {
				t.Errorf("status %d, want %d: %s", recorder.Code, test.status, recorder.Body)
			}
		})
	}
}

func TestInvalidAnswersAreErrors(t *testing.T) {
	raw := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"nothing":                    raw(200, ""),
		"another program's":          raw(200, "<html>"),
		"two answers":                raw(200, `{"text":"a"} {"text":"b"}`),
		"too long":                   raw(200, `{"text":"`+strings.Repeat("a", socket.MaxMessage)+`"}`),
		"an error without a message": raw(500, `{}`),
		"an error in HTML":           raw(502, `<html>`),
		"a redirect":                 http.RedirectHandler("http://127.0.0.1/", http.StatusTemporaryRedirect).ServeHTTP,
		"a connection that breaks":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no such endpoint":           http.NotFound,
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := serve(t, handler)
			answer, err := socket.Call[echoAnswer](t.Context(), client, "/v1/x", echoRequest{})
			if err == nil || errors.Is(err, socket.ErrNoDaemon) {
				t.Errorf("got %v, %v; want an error other than ErrNoDaemon", answer, err)
			}
		})
	}
}

func TestWithoutADaemon(t *testing.T) {
	abandoned := filepath.Join(t.TempDir(), "abandoned")
	abandon(t, abandoned)
	for name, path := range map[string]string{
		"no socket": filepath.Join(t.TempDir(), "absent"), "an abandoned socket": abandoned,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := socket.Call[echoAnswer](t.Context(), socket.NewClient(path), "/", echoRequest{})
			if !errors.Is(err, socket.ErrNoDaemon) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %v and the path", err, socket.ErrNoDaemon)
			}
		})
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	asked := make(chan struct{})
	client, _ := serve(t, socket.Endpoint(func(ctx context.Context, _ echoRequest) (echoAnswer, error) {
		close(asked)
		<-ctx.Done() // It ends when the caller disconnects.
		return echoAnswer{}, ctx.Err()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := socket.Call[echoAnswer](ctx, client, "/", echoRequest{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestRequestsInProgressAreAnsweredAtShutdown(t *testing.T) {
	asked := make(chan struct{})
	client, stop := serve(t, socket.Endpoint(func(ctx context.Context, _ echoRequest) (echoAnswer, error) {
		close(asked)
		<-ctx.Done()
		return echoAnswer{"what is known so far"}, nil
	}))
	answered := make(chan string, 1)
	go func() {
		answer, err := socket.Call[echoAnswer](t.Context(), client, "/", echoRequest{})
		answered <- fmt.Sprint(answer.Text, err)
	}()
	<-asked
	if err := stop(); err != nil {
		t.Error(err)
	}
	if got, want := <-answered, "what is known so far<nil>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	_, err := socket.Call[echoAnswer](t.Context(), client, "/", echoRequest{})
	if !errors.Is(err, socket.ErrNoDaemon) {
		t.Errorf("got %v, want %v", err, socket.ErrNoDaemon)
	}
}

func TestServeReturnsTheListenersError(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := socket.Serve(t.Context(), listener, http.NotFoundHandler()); err == nil {
		t.Error("no error from a closed listener")
	}
}

// FuzzRequest: every request gets an answer in JSON, and only valid documents reach the handler.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(`{"name":"registry.example/app:v1","digest":"sha256:00","mediaType":"x","size":1}`))
	f.Add([]byte(`{"name":["x"]}`))
	f.Add([]byte(`{} {}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		reached := false
		handler := socket.Endpoint(func(context.Context, socket.PullRequest) (socket.PullAnswer, error) {
			reached = true
			return socket.PullAnswer{Decision: socket.Admit}, nil
		})
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(body))))
		var reported struct {
			Decision socket.Decision
			Error    string
		}
		if err := json.Unmarshal(recorder.Body.Bytes(), &reported); err != nil {
			t.Fatalf("%v: %s", err, recorder.Body)
		}
		if (recorder.Code == http.StatusOK) != reached || (reported.Error == "") != reached {
			t.Errorf("status %d, reached %t: %s", recorder.Code, reached, recorder.Body)
		}
	})
}
