package nri_test

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

type digestOf = digest.Digest

// testTimeout is how long a test waits for a condition. No test passes because it expires.
const testTimeout = 20 * time.Second

func accept(context.Context, policy.Question) policy.Verdict {
	return policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}
}

func deny(reason policy.Reason) func(context.Context, policy.Question) policy.Verdict {
	return func(context.Context, policy.Question) policy.Verdict { return policy.Verdict{Reason: reason} }
}

// content finds each root filesystem to be that of the config that is reported.
func content(_ context.Context, container policy.Container) ([]digestOf, error) {
	return []digestOf{container.Config}, nil
}

// record has each container run the sample's image.
func record(context.Context, string) (policy.Record, error) {
	return policy.Record{Config: config}, nil
}

func noVolume(context.Context, string, string) (policy.Volume, bool, error) {
	return policy.Volume{}, false, nil
}

// reports collects what a handler reports.
type reports struct {
	mu   sync.Mutex
	all  []nri.Report
	some chan struct{}
}

func (r *reports) take(_ context.Context, report nri.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, report)
	select {
	case r.some <- struct{}{}:
	default:
	}
}

func (r *reports) list() []nri.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]nri.Report(nil), r.all...)
}

// await returns the reports once there are that many.
func (r *reports) await(t testing.TB, n int) []nri.Report {
	t.Helper()
	timeout := time.After(testTimeout)
	for {
		if all := r.list(); len(all) >= n {
			return all
		}
		select {
		case <-r.some:
		case <-timeout:
			t.Fatalf("%d reports, want %d", len(r.list()), n)
		}
	}
}

// newHandler returns a handler that admits everything, and its reports. Its deadline is long: what a test finds is not
// a matter of how fast the machine is.
func newHandler() (*nri.Handler, *reports) {
	told := &reports{some: make(chan struct{}, 1)}
	handler := &nri.Handler{
		Deadline: policy.NewDeadline(time.Hour),
		Content:  content,
		Volume:   noVolume,
		Record:   record,
		Decide:   accept,
		Audit:    func(string) bool { return false },
		Report:   told.take,
	}
	handler.DecideVolume = func(ctx context.Context, namespace string, volume policy.Volume) policy.Verdict {
		return decideVolume(ctx, handler, namespace, volume)
	}
	return handler, told
}

// decideVolume decides like [policy.Decider.DecideVolume], by the decisions about images that a test provides.
func decideVolume(
	ctx context.Context, handler *nri.Handler, namespace string, volume policy.Volume,
) (denied policy.Verdict) {
	for _, config := range volume.All() {
		found := handler.Decide(ctx, policy.Question{Namespace: namespace, Reference: config.String(), Config: config})
		if found.Admitted() {
			return found
		}
		denied = denied.Or(found)
	}
	return denied
}

// filesOf returns an image volume with the files of some images.
func filesOf(configs ...digestOf) policy.Volume {
	return policy.Volume{All: func() []digestOf { return configs }}
}

// subject is a running plugin under test.
type subject struct {
	log        *lines
	registered chan bool
	cancel     context.CancelFunc
	ended      chan struct{}
	err        error
}

// start runs a plugin with that handler until the test ends.
func start(t testing.TB, socket string, handler *nri.Handler) *subject {
	t.Helper()
	return startImpatient(t, socket, handler, 0)
}

// startImpatient starts a plugin that reports after some time that its registration is not answered.
func startImpatient(t testing.TB, socket string, handler *nri.Handler, answerTimeout time.Duration) *subject {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &subject{
		log: newLines(), registered: make(chan bool, 1000), cancel: cancel, ended: make(chan struct{}),
	}
	plugin := &nri.Plugin{
		Socket: socket, Handler: handler, Logger: slog.New(slog.NewTextHandler(s.log, nil)),
		Registered: func(err error) { s.registered <- err == nil }, AnswerTimeout: answerTimeout,
	}
	go func() {
		defer close(s.ended)
		s.err = plugin.Run(ctx)
	}()
	t.Cleanup(func() { s.stop(t) })
	return s
}

// stop ends the context and waits until Run has returned.
func (s *subject) stop(t testing.TB) {
	t.Helper()
	s.cancel()
	await(t, s.ended, "Run to return")
}

// awaitRegistered waits until the plugin reports that it is registered, or that it is not.
func (s *subject) awaitRegistered(t testing.TB, want bool) {
	t.Helper()
	timeout := time.After(testTimeout)
	for {
		select {
		case is := <-s.registered:
			if is == want {
				return
			}
		case <-timeout:
			t.Fatalf("never reported registered = %v; the log:\n%s", want, s.log)
		}
	}
}

func await[T any](t testing.TB, c <-chan T, what string) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(testTimeout):
		t.Fatalf("waited in vain for %s; what runs:\n%s", what, stacks())
	}
	return value
}

// awaitNothingRuns fails if a goroutine of this package or of NRI's stub stays.
func awaitNothingRuns(t testing.TB) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(testTimeout / 4)
	for {
		left := leftBehind()
		if len(left) == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("%d goroutines are left behind:\n%s", len(left), strings.Join(left, "\n\n"))
		}
	}
}

// leftBehind returns the stacks that have a frame of package nri or of the stub.
func leftBehind() (left []string) {
	for stack := range strings.SplitSeq(stacks(), "\n\n") {
		if strings.Contains(stack, "countersign/nri.(") || strings.Contains(stack, "containerd/nri/pkg/stub.") {
			left = append(left, stack)
		}
	}
	return left
}

func stacks() string {
	buffer := make([]byte, 4<<20)
	return string(buffer[:runtime.Stack(buffer, true)])
}

// lines is a log that can be waited for.
type lines struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{}
}

func newLines() *lines { return &lines{written: make(chan struct{}, 1)} }

// Write implements [io.Writer].
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.written <- struct{}{}:
	default:
	}
	return l.text.Write(b)
}

// String returns all of the log.
func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits until the log has that text that many times.
func (l *lines) await(t testing.TB, text string, times int) {
	t.Helper()
	timeout := time.After(testTimeout)
	for strings.Count(l.String(), text) < times {
		select {
		case <-l.written:
		case <-timeout:
			t.Fatalf("the log does not say %q %d times:\n%s", text, times, l)
		}
	}
}
