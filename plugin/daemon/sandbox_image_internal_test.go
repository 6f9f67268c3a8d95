package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy"
)

func TestTheSandboxImageIsCheckedInAdvance(t *testing.T) {
	const pause = "registry.k8s.io/pause:3.10"
	for name, test := range map[string]struct {
		accept, judged policy.Verdict
		here           bool
		resolveErr     error
		auditing       bool
		status         metrics.Status
		log            string
	}{
		"a scope admits it": {
			accept: policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}, status: metrics.Yes, log: "level=INFO",
		},
		"it is signed": {
			accept: policy.Verdict{Reason: policy.Pending}, here: true,
			judged: policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}, status: metrics.Yes, log: "level=INFO",
		},
		"no policy admits it": {
			accept: policy.Verdict{Reason: policy.Rejected}, here: true,
			judged: policy.Verdict{Reason: policy.Rejected, Document: "/etc/containers/policy.json"},
			status: metrics.No, log: "level=ERROR",
		},
		"its registry has no signature": {
			accept: policy.Verdict{Reason: policy.Pending},
			judged: policy.Verdict{Reason: policy.Unsigned}, status: metrics.No, log: "no pod starts",
		},
		"no policy admits it, in audit mode": {
			accept: policy.Verdict{Reason: policy.Rejected}, here: true, auditing: true,
			judged: policy.Verdict{Reason: policy.Rejected}, status: metrics.No, log: "level=WARN",
		},
		"its registry does not answer": {
			accept: policy.Verdict{Reason: policy.Pending}, resolveErr: errors.New("refused"), log: "cannot determine whether",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				status, detail := metrics.Status(9), ""
				target := digest.FromString("pause")
				s := &sandboxImage{
					awaitImages: func(context.Context) {},
					target: func(_ context.Context, name string) (digest.Digest, bool) {
						return target, test.here && name == pause
					},
					resolve: func(context.Context, reference.Named) (digest.Digest, error) {
						return target, test.resolveErr
					},
					judge: func(_ context.Context, ref reference.Named, d digest.Digest) policy.Verdict {
						if ref.String() != pause || d != target {
							t.Errorf("judges %s with %s", ref, d)
						}
						return test.judged
					},
					judgeReference: func(context.Context, reference.Named) policy.Verdict { return test.accept },
					audit:          func() bool { return test.auditing },
					report:         func(is metrics.Status, why string) { status, detail = is, why },
					log:            slog.New(slog.NewTextHandler(&log, nil)),
					changed:        newNotifier(),
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() { defer close(ended); s.run(ctx) }()
				s.changed.notify() // The image is not known yet, so nothing is logged.
				pass(time.Minute)
				if log.Len() > 0 {
					t.Errorf("logged without an image: %s", &log)
				}
				s.configured(pause)
				pass(time.Minute)
				s.changed.notify() // The same result is not logged again.
				pass(time.Minute)
				cancel()
				<-ended
				if status != test.status || !strings.Contains(detail, pause) {
					t.Errorf("admitted: %s (%s), want %s", status, detail, test.status)
				}
				if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), test.log) {
					t.Errorf("log: %swant %q", &log, test.log)
				}
			})
		})
	}
}
