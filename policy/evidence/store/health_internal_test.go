package store

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAProblemLastsSinceTheFirstFailureAfterASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h health
		record := func(err error) {
			time.Sleep(time.Hour)
			h.record(err, slog.New(slog.DiscardHandler))
		}
		failure := errors.New("full")
		record(failure)
		record(nil)
		record(failure)
		want := "since " + time.Now().UTC().Format(time.RFC3339) + ": "
		record(failure)
		if err := h.problem(); !errors.Is(err, failure) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	})
}
