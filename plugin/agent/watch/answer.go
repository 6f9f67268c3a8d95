package watch

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Pauses between two attempts to reach the API server. As much again is added at random, so that the agents of a
// cluster do not ask at once. The pauses of client-go grow to a minute, and policies would be obeyed that late after an
// outage.
const (
	shortestPause = 500 * time.Millisecond
	longestPause  = 2500 * time.Millisecond
)

// list asks until the API server answers, and returns its answer, which may be an error.
//
//nolint:ireturn // It is the library's.
func (r rewindable) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	var since time.Time
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		listed, err := r.client.ListWithContext(ctx, options)
		if ctx.Err() != nil || answered(err) {
			if !since.IsZero() && ctx.Err() == nil {
				r.log.InfoContext(ctx, "the API server answers again", "after", time.Since(since).Round(time.Second))
			}
			return listed, err
		}
		if since.IsZero() {
			since = time.Now()
			r.log.WarnContext(ctx, "the API server does not answer, and documents stay as they are", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause + rand.N(pause)):
		}
	}
}

// answered reports whether an error, or none, is the API server's. Errors of the server are those of a proxy before it,
// or of an API server that cannot reach etcd.
func answered(err error) bool {
	if err == nil {
		return true
	}
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status) && status.Status().Code < http.StatusInternalServerError
}
