package nri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"syscall"
	"time"

	"github.com/containerd/nri/pkg/api"
	"github.com/containerd/nri/pkg/stub"
)

// Backoff between attempts to register. While there is no socket, an attempt costs little, and containerd refuses all
// containers from its start until the plugin is registered.
const (
	minBackoff    = 100 * time.Millisecond
	maxBackoff    = 2 * time.Second
	absentBackoff = 400 * time.Millisecond
)

// quietPeriod is the time without requests before the connection is closed.
const quietPeriod = 100 * time.Millisecond

// Run registers the plugin, and registers it again whenever the connection is lost, indefinitely. It returns when the
// context ends, after it has answered every request.
func (p *Plugin) Run(ctx context.Context) error {
	var (
		backoff  = minBackoff
		reported string
	)
	for {
		started := time.Now()
		registered, err := p.register(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // The end of the context is not a failure.
		}
		if time.Since(started) > maxBackoff {
			backoff = minBackoff
		}
		// Logged once for each cause: if containerd is stopped for an hour, that is one line and not hundreds.
		if registered || err.Error() != reported {
			reported = err.Error()
			level := slog.LevelWarn
			if errors.Is(err, ErrUnsupported) {
				level = slog.LevelError // No new attempt will succeed before containerd is replaced.
			}
			p.Logger.Log(ctx, level, "not registered with containerd, retrying", "socket", p.Socket, "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = nextBackoff(backoff, err)
	}
}

// nextBackoff returns the backoff after the given one.
func nextBackoff(backoff time.Duration, failed error) time.Duration {
	limit := maxBackoff
	if errors.Is(failed, syscall.ENOENT) || errors.Is(failed, syscall.ECONNREFUSED) {
		limit = absentBackoff
	}
	return min(2*backoff, limit)
}

// versionTimeout limits the call for containerd's version.
const versionTimeout = 2 * time.Second

// containerdVersion returns the version that containerd's own API reports, or an error if it does not answer: it may be
// starting. Without a Version function both are empty.
func (p *Plugin) containerdVersion(ctx context.Context) (version string, unknown error) {
	if p.Version == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	return p.Version(ctx)
}

// explain returns why NRI's socket cannot be reached: containerd does not run, or does not serve NRI there.
func explain(failed error, version string, unknown error) error {
	failed = fmt.Errorf("connecting to NRI: %w (is NRI enabled in containerd, and is this its socket?)", failed)
	switch {
	case unknown != nil:
		return fmt.Errorf("%w; containerd's version is unknown too: %w", failed, unknown)
	case version != "":
		return fmt.Errorf("%w; containerd %s runs", failed, version)
	default:
		return failed
	}
}

// register makes one registration and returns when it has ended, always with an error. It reports whether the
// registration was completed.
func (p *Plugin) register(ctx context.Context) (registered bool, err error) {
	defer func() { p.Registered(err) }()
	version, unknown := p.containerdVersion(ctx)
	if version != "" {
		if _, err := identification("containerd", version); err != nil {
			return false, fmt.Errorf("refusing to serve: %w", err)
		}
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", p.Socket)
	if err != nil {
		return false, explain(err, version, unknown)
	}
	defer connection.Close()

	background, cancel := context.WithCancel(ctx)
	session := &session{
		Plugin: p, background: background, conn: newConnTracker(), complete: make(chan struct{}),
	}
	defer session.running.Wait()
	defer cancel()
	options := []stub.Option{
		stub.WithPluginName(Name),
		stub.WithPluginIdx(Index),
		stub.WithLogger(quiet{p.Logger}),
		stub.WithConnection(connection),
		stub.WithTTRPCOptions(session.conn.clientOptions(), session.conn.options()),
		// From NRI 0.12.4 on a plugin can set what the runtime does if it does not answer. Older runtimes refuse a
		// container whose validation fails anyway.
		stub.WithFailurePolicy(&api.FailurePolicy{FailRequest: true, KeepConnected: true}),
	}
	plugin, err := stub.New(session, options...)
	if err != nil {
		return false, fmt.Errorf("preparing the NRI plugin: %w", err)
	}
	err = session.serve(ctx, plugin, connection)
	return session.synchronized, err
}

// serve runs the stub until its connection ends. When the context ends, it replies to pending requests first.
func (s *session) serve(ctx context.Context, plugin stub.Stub, connection io.Closer) error {
	ended := make(chan error, 1)
	go func() { ended <- plugin.Run(context.WithoutCancel(ctx)) }()
	err := s.await(ctx, plugin, connection, ended)
	s.conn.close()
	if s.refused != nil {
		return fmt.Errorf("refusing to serve: %w", s.refused)
	}
	if err == nil {
		err = errors.New("the connection ended")
	}
	return fmt.Errorf("no longer registered with NRI: %w", err)
}

// drain waits for pending replies, but no longer than containerd does, and then for a quiet period: if NRI's runtime
// half receives a reply and the end of the connection at the same time, it handles one of them at random.
func (s *session) drain() {
	giveUp := time.After(api.DefaultPluginRequestTimeout)
	for {
		select {
		case <-s.conn.awaitReplies():
		case <-s.conn.disconnected:
			return
		case <-giveUp:
			return
		}
		requests := s.conn.requestCount()
		select {
		case <-time.After(quietPeriod):
		case <-s.conn.disconnected:
			return
		}
		if s.conn.requestCount() == requests {
			return
		}
	}
}

// release waits for the stub after its connection has been closed. If the runtime dies before it has configured the
// plugin, the stub of NRI 0.12.5 waits for that configuration forever and holds its lock, so it is given an empty one.
// The stub reads the same state while it registers, so this must wait until the registration has ended.
func (s *session) release(plugin stub.Stub, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-s.conn.disconnected:
	}
	s.conn.close()
	select {
	case err := <-ended:
		return err
	case <-s.conn.accepted:
	}
	if waiting, ok := plugin.(api.PluginService); ok && !s.configured {
		_, _ = waiting.Configure(context.Background(), &api.ConfigureRequest{})
	}
	return <-ended
}

// quiet logs the stub's messages at debug level.
type quiet struct{ logger *slog.Logger }

func (q quiet) Debugf(ctx context.Context, format string, args ...any) { q.log(ctx, format, args) }
func (q quiet) Infof(ctx context.Context, format string, args ...any)  { q.log(ctx, format, args) }
func (q quiet) Warnf(ctx context.Context, format string, args ...any)  { q.log(ctx, format, args) }
func (q quiet) Errorf(ctx context.Context, format string, args ...any) { q.log(ctx, format, args) }

func (q quiet) log(ctx context.Context, format string, args []any) {
	q.logger.DebugContext(ctx, "nri stub", "message", fmt.Sprintf(format, args...))
}
