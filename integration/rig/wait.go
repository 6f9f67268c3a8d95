package rig

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
)

// Must returns a result, or ends the test if there is an error.
func Must[T any](result T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		OK(t, err)
		return result
	}
}

// OK ends the test if there is an error.
func OK(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Patience is the timeout for anything that must happen.
const Patience = 45 * time.Second

// The pauses between two attempts: short for cheap checks, longer for attempts that run a pod.
const (
	shortest = 20 * time.Millisecond
	longest  = 200 * time.Millisecond
)

// Eventually retries until there is no error, and fails the test if there still is one after Patience.
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

// Logged waits for records in a daemon's log with a message (any, if it is empty) that contain these words in their
// values, and returns all of them.
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

// Says reports whether a record contains all these words in its values and has only one line.
func Says(record map[string]any, words ...string) bool {
	text := fmt.Sprint(record)
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return !strings.Contains(text, "\n")
}
