package report

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy/text"
)

const (
	// retryFeed is how long the agent waits when the daemon does not answer.
	retryFeed = 5 * time.Second
	// repeat is the minimum time between two events about the same refusal.
	repeat = 10 * time.Minute
	// perNamespace limits the events of a namespace in that time, and maxRemembered the refusals that are remembered.
	perNamespace  = 50
	maxRemembered = 10000
	// maxNote limits the text of an event.
	maxNote = 300
)

// Refusals creates an event on the pod for each refusal that the daemon reports, and passes the refusal on.
type Refusals struct {
	next     func(context.Context) ([]socket.DeniedRequest, error)
	recorder events.EventRecorder
	also     func(socket.DeniedRequest)
	log      *slog.Logger
	limiter  limiter
}

// NewRefusals returns a Refusals. next waits for new refusals; also is called with each of them.
func NewRefusals(
	next func(context.Context) ([]socket.DeniedRequest, error), recorder events.EventRecorder,
	also func(socket.DeniedRequest), log *slog.Logger,
) *Refusals {
	return &Refusals{next: next, recorder: recorder, also: also, log: log}
}

// NeedLeaderElection reports that every agent runs it.
func (r *Refusals) NeedLeaderElection() bool { return false }

// Start creates events until the context ends.
func (r *Refusals) Start(ctx context.Context) error {
	answers := true
	for ctx.Err() == nil {
		refused, err := r.next(ctx)
		if err != nil {
			if answers && ctx.Err() == nil {
				r.log.WarnContext(ctx, "the daemon does not report refusals", "error", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(retryFeed):
			}
		}
		answers = err == nil
		for _, refusal := range refused {
			r.also(refusal)
			r.event(refusal)
		}
	}
	return nil
}

// event creates the event of a refusal. Its text is what the daemon tells the author of the pod.
func (r *Refusals) event(refusal socket.DeniedRequest) {
	if refusal.PodUID == "" || !r.limiter.allow(refusal, time.Now()) {
		return
	}
	pod := &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: refusal.Namespace, Name: refusal.Pod, UID: types.UID(refusal.PodUID),
	}
	kind, reason := corev1.EventTypeWarning, "ImageRefused"
	if refusal.WouldDeny {
		reason = "ImageWouldBeRefused"
	}
	r.recorder.Eventf(pod, nil, kind, reason, "CreateContainer", "%s", text.Shorten(refusal.Message, maxNote))
}

// limiter limits events: the kubelet retries refused containers, and tenants can create many pods. Its zero value
// is usable.
type limiter struct {
	since   time.Time
	seen    map[string]bool
	counted map[string]int
}

// allow reports whether a refusal becomes an event.
func (l *limiter) allow(refusal socket.DeniedRequest, now time.Time) bool {
	if l.seen == nil || now.Sub(l.since) >= repeat || len(l.seen) >= maxRemembered {
		*l = limiter{since: now, seen: map[string]bool{}, counted: map[string]int{}}
	}
	key := refusal.PodUID + " " + refusal.Container + " " + refusal.Volume + " " + refusal.Image + " " + refusal.Reason
	if l.seen[key] || l.counted[refusal.Namespace] >= perNamespace {
		return false
	}
	l.seen[key] = true
	l.counted[refusal.Namespace]++
	return true
}
