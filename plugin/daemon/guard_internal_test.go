package daemon

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

func TestAPanicOfAnEndpointIsCountedAndAnswered(t *testing.T) {
	var reported []string
	count := func(failure *policy.PanicError) { reported = append(reported, failure.Error()) }
	asked := 0
	handler := guarded("a request", count, socket.Endpoint(func(context.Context, struct{}) (string, error) {
		if asked++; asked == 1 {
			panic("a bug")
		}
		return "an answer", nil
	}))
	for _, want := range []struct {
		status int
		body   string
	}{
		{http.StatusInternalServerError, `{"error":"the daemon failed: this is a bug`},
		{http.StatusOK, `"an answer"`},
	} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")))
		if answer.Code != want.status || !strings.HasPrefix(answer.Body.String(), want.body) {
			t.Errorf("%d %s; want %d %s", answer.Code, answer.Body, want.status, want.body)
		}
	}
	if len(reported) != 1 || reported[0] != "panic in a request: a bug" {
		t.Errorf("panicked was called with %q", reported)
	}
}

func TestAnAbortedAnswerIsNotCounted(t *testing.T) {
	count := func(failure *policy.PanicError) { t.Errorf("panicked was called with %v", failure) }
	server := httptest.NewServer(guarded("a request", count, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	})))
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := server.Client().Do(request); err == nil {
		answer.Body.Close()
		t.Errorf("answered with %s", answer.Status)
	}
}
