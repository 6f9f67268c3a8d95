package nri

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

// Backoff between attempts to register.
const (
	shortestBackoff = 100 * time.Millisecond
	longestBackoff  = 10 * time.Second
)

// ErrConnectionLost is returned by [Plugin.Run] of a plugin that containerd started itself: a connection that
// containerd handed over cannot be made again, and a containerd that comes back starts a plugin of its own.
var ErrConnectionLost = errors.New("containerd closed the connection it started this plugin with")

// Run registers the plugin and registers it again whenever the connection is lost, for ever. It returns when the
// context ends, having answered what it was asked.
func (p *Plugin) Run(ctx context.Context) error {
	var (
		backoff  = shortestBackoff
		reported string
	)
	for {
		started := time.Now()
		err := p.register(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if StartedByContainerd() {
			return fmt.Errorf("%w: %w", ErrConnectionLost, err)
		}
		if time.Since(started) > longestBackoff {
			backoff = shortestBackoff
		}
		// Said once for each cause: a containerd that is away for an hour is one line, not hundreds.
		if err.Error() != reported {
			reported = err.Error()
			p.Logger.Warn("not registered with containerd, trying again", "socket", p.Socket, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, longestBackoff)
	}
}

// StartedByContainerd is whether the program was found in /opt/nri/plugins: its connection is then an open file.
func StartedByContainerd() bool { return os.Getenv(api.PluginSocketEnvVar) != "" }

// register makes one registration and returns when it is over, always with an error.
func (p *Plugin) register(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	session := &session{Plugin: p, background: ctx, refused: make(chan error, 1)}
	defer session.running.Wait()
	defer cancel()
	defer p.Registered(false)

	lost := make(chan struct{})
	options := []stub.Option{
		stub.WithPluginName(Name),
		stub.WithLogger(quiet{p.Logger}),
		// Without a handler of its own the stub ends the process when the connection is lost.
		stub.WithOnClose(func() {}),
		// From NRI 0.12.4 on a runtime is told what to do should we fail to answer; older ones refuse a container for
		// that in the validation anyway.
		stub.WithFailurePolicy(&api.FailurePolicy{FailRequest: true, KeepConnected: true}),
	}
	if !StartedByContainerd() {
		connection, err := (&net.Dialer{}).DialContext(ctx, "unix", p.Socket)
		if err != nil {
			return fmt.Errorf("connecting to NRI: %w (is NRI enabled in containerd, and is this its socket?)", err)
		}
		watched := &watchedConn{Conn: connection, lost: lost}
		defer watched.Close()
		options = append(options, stub.WithPluginIdx(Index), stub.WithConnection(watched))
	}
	plugin, err := stub.New(session, options...)
	if err != nil {
		return fmt.Errorf("preparing the NRI plugin: %w", err)
	}
	return session.serve(ctx, plugin, lost)
}

// serve runs the stub until it ends, or until its connection has ended and it has not noticed: a runtime that dies
// between taking a registration and configuring the plugin leaves the stub of NRI 0.12.5 waiting for ever. When the
// context ends, what containerd waits for is answered first.
func (s *session) serve(ctx context.Context, plugin stub.Stub, lost <-chan struct{}) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- plugin.Run(serving) }()
	var err error
	select {
	case <-ctx.Done():
		s.answering.Wait()
		stop()
		err = ctx.Err()
	case err = <-ended:
	case <-lost:
		select {
		case err = <-ended:
		case <-time.After(time.Second):
			err = errors.New("the connection was lost before the registration was complete")
		}
	}
	select {
	case refused := <-s.refused:
		return fmt.Errorf("refusing to serve: %w", refused)
	default:
	}
	if err == nil {
		err = errors.New("the connection ended")
	}
	return fmt.Errorf("registered with NRI no longer: %w", err)
}

// watchedConn tells when the connection has ended, whoever reads from it.
type watchedConn struct {
	net.Conn
	lost chan struct{}
	once sync.Once
}

// Read implements [net.Conn].
func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.once.Do(func() { close(c.lost) })
	}
	return n, err //nolint:wrapcheck // A connection's errors are compared by its readers.
}

// quiet hands the stub's chatter to our log, as what it is: of interest to those who look for a fault.
type quiet struct{ logger *slog.Logger }

func (q quiet) Debugf(ctx context.Context, format string, args ...any) { q.log(ctx, format, args) }
func (q quiet) Infof(ctx context.Context, format string, args ...any)  { q.log(ctx, format, args) }
func (q quiet) Warnf(ctx context.Context, format string, args ...any)  { q.log(ctx, format, args) }
func (q quiet) Errorf(ctx context.Context, format string, args ...any) { q.log(ctx, format, args) }

func (q quiet) log(ctx context.Context, format string, args []any) {
	q.logger.DebugContext(ctx, "nri stub", "message", fmt.Sprintf(format, args...))
}
