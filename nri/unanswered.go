package nri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/containerd/nri/pkg/stub"
)

// ErrUnanswered reports that containerd accepts connections at NRI's socket, and does not answer the registration. It
// has not failed: the plugin waits on its one connection. Registering again would not help, because containerd handles
// one connection at a time, and each registration is another chance of the deadlock that is the likely cause: see
// docs/operations.md.
var ErrUnanswered = errors.New("containerd does not answer the registration with NRI")

// answerTimeout is how long containerd may take to answer before that is reported. containerd waits for containers that
// are being stopped, each at most for its pod's grace period.
const answerTimeout = 15 * time.Second

// reportUnanswered reports that the registration is not complete yet.
func (s *session) reportUnanswered(ctx context.Context, waited time.Duration) {
	step := "to the registration"
	select {
	case <-s.conn.accepted:
		step = "with the running containers"
	default:
	}
	err := fmt.Errorf("%w: it accepts the connection, and there is no answer %s for %s; it waits for a container that is "+
		"being stopped, or its NRI is deadlocked: if no container is being stopped, restart containerd",
		ErrUnanswered, step, waited)
	s.Registered(err)
	s.Logger.ErrorContext(ctx, "containerd's NRI accepts no plugin", "socket", s.Socket, "error", err)
}

// await waits for the end of the connection or of the context. It reports if containerd does not complete the
// registration.
func (s *session) await(ctx context.Context, plugin stub.Stub, connection io.Closer, ended <-chan error) error {
	timeout := s.AnswerTimeout
	if timeout == 0 {
		timeout = answerTimeout
	}
	unanswered := time.NewTimer(timeout)
	defer unanswered.Stop()
	complete := s.complete
	for {
		select {
		case err := <-ended:
			return err
		case <-complete:
			unanswered.Stop()
			complete = nil
		case <-unanswered.C:
			s.reportUnanswered(ctx, timeout)
		case <-s.conn.disconnected:
			_ = connection.Close()
			return s.release(plugin, ended)
		case <-ctx.Done():
			s.drain()
			_ = connection.Close()
			return s.release(plugin, ended)
		}
	}
}
