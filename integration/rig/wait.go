package rig

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
)

// Must returns a result, and ends the test where there is an error instead.
func Must[T any](result T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		OK(t, err)
		return result
	}
}

// OK ends the test where there is an error.
func OK(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Patience is how long anything may take that is known to come.
const Patience = 45 * time.Second

// The pauses between two attempts: what is there soon is seen soon, and what runs a whole pod does so less often.
const (
	shortest = 20 * time.Millisecond
	longest  = 200 * time.Millisecond
)

// Eventually tries until there is no error, and ends the test if there still is one when Patience is over.
func Eventually(t testing.TB, what string, attempt func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	for pause := shortest; ; pause = min(2*pause, longest) {
		err := attempt()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, err)
		case <-time.After(pause):
		}
	}
}

// Logged waits for records of a daemon's log with a message, empty for any, that have these words in their values, and
// returns all there are.
func Logged(t testing.TB, daemon *node.Daemon, message string, words ...string) (found []map[string]any) {
	t.Helper()
	Eventually(t, fmt.Sprintf("%q with %q in the log", message, words), func() error {
		records, err := daemon.Log(message)
		found = nil
		for _, record := range records {
			if Says(record, words...) {
				found = append(found, record)
			}
		}
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("there is none among %d, of which the last are %v", len(records), records[max(0, len(records)-10):])
		}
		return err
	})
	return found
}

// Says reports whether a record has all these words in its values, and is of one line.
func Says(record map[string]any, words ...string) bool {
	text := fmt.Sprint(record)
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return !strings.Contains(text, "\n")
}
