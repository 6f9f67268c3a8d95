package nri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/containerd/nri/pkg/api"
	nrinet "github.com/containerd/nri/pkg/net"
	"github.com/containerd/nri/pkg/stub"
)

// Backoff between attempts to register.
const (
	shortestBackoff = 100 * time.Millisecond
	longestBackoff  = 2 * time.Second
)

// linger is for how long nothing must have been asked before the connection is closed.
const linger = 100 * time.Millisecond

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
		registered, err := p.register(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // To stop because one was told to is no failure.
		}
		if StartedByContainerd() {
			return fmt.Errorf("%w: %w", ErrConnectionLost, err)
		}
		if time.Since(started) > longestBackoff {
			backoff = shortestBackoff
		}
		// Said once for each cause: a containerd that is away for an hour is one line, not hundreds.
		if registered || err.Error() != reported {
			reported = err.Error()
			level := slog.LevelWarn
			if errors.Is(err, ErrUnsupported) {
				level = slog.LevelError // No new attempt will succeed before containerd is replaced.
			}
			p.Logger.Log(ctx, level, "not registered with containerd, trying again", "socket", p.Socket, "error", err)
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

// connect returns the connection that containerd started this plugin with, or one to its socket.
func (p *Plugin) connect(ctx context.Context) (net.Conn, error) {
	if descriptor := os.Getenv(api.PluginSocketEnvVar); descriptor != "" {
		number, err := strconv.Atoi(descriptor)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", api.PluginSocketEnvVar, err)
		}
		connection, err := nrinet.NewFdConn(number)
		if err != nil {
			return nil, fmt.Errorf("taking over the connection of %s: %w", api.PluginSocketEnvVar, err)
		}
		return connection, nil
	}
	connection, err := (&net.Dialer{}).DialContext(ctx, "unix", p.Socket)
	if err != nil {
		return nil, p.explain(ctx, err)
	}
	return connection, nil
}

// versionTimeout bounds how long containerd is asked for its version.
const versionTimeout = 2 * time.Second

// explain says why NRI's socket cannot be reached: containerd does not run, is too old, or does not serve NRI there.
func (p *Plugin) explain(ctx context.Context, failed error) error {
	if p.Version == nil {
		return fmt.Errorf("connecting to NRI: %w (is NRI enabled in containerd, and is this its socket?)", failed)
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	version, err := p.Version(ctx)
	if err != nil {
		return fmt.Errorf("connecting to NRI: %w; containerd's version is not known either: %w", failed, err)
	}
	if err := checkRuntime("containerd", version); err != nil {
		return fmt.Errorf("connecting to NRI: %w: %w", err, failed)
	}
	return fmt.Errorf("connecting to NRI: %w (containerd %s runs: is NRI enabled in containerd, and is this its socket?)",
		failed, version)
}

// register makes one registration and returns when it is over, always with an error. It tells whether the
// registration was complete.
func (p *Plugin) register(ctx context.Context) (registered bool, err error) {
	defer func() { p.Registered(err) }()
	connection, err := p.connect(ctx)
	if err != nil {
		return false, err
	}
	defer connection.Close()

	background, cancel := context.WithCancel(ctx)
	session := &session{Plugin: p, background: background, exchange: newExchange()}
	defer session.running.Wait()
	defer cancel()
	options := []stub.Option{
		stub.WithPluginName(Name),
		stub.WithLogger(quiet{p.Logger}),
		stub.WithConnection(connection),
		stub.WithTTRPCOptions(session.exchange.clientOptions(), session.exchange.options()),
		// From NRI 0.12.4 on a runtime is told what to do should we fail to answer; older ones refuse a container for
		// that in the validation anyway.
		stub.WithFailurePolicy(&api.FailurePolicy{FailRequest: true, KeepConnected: true}),
	}
	// One that containerd started has the index of its file's name.
	if !StartedByContainerd() {
		options = append(options, stub.WithPluginIdx(Index))
	}
	plugin, err := stub.New(session, options...)
	if err != nil {
		return false, fmt.Errorf("preparing the NRI plugin: %w", err)
	}
	err = session.serve(ctx, plugin, connection)
	return session.synchronized, err
}

// serve runs the stub until its connection ends. When the context ends, what containerd waits for is answered first.
func (s *session) serve(ctx context.Context, plugin stub.Stub, connection io.Closer) error {
	ended := make(chan error, 1)
	go func() { ended <- plugin.Run(context.WithoutCancel(ctx)) }()
	var err error
	select {
	case err = <-ended:
	case <-s.exchange.lost:
		_ = connection.Close()
		err = s.release(plugin, ended)
	case <-ctx.Done():
		s.drain()
		_ = connection.Close()
		err = s.release(plugin, ended)
	}
	s.exchange.end()
	if s.refused != nil {
		return fmt.Errorf("refusing to serve: %w", s.refused)
	}
	if err == nil {
		err = errors.New("the connection ended")
	}
	return fmt.Errorf("registered with NRI no longer: %w", err)
}

// drain waits for what is being answered, but no longer than containerd does. Then it lingers: NRI's other half picks
// at random between an answer that has arrived and the end of the connection, when it learns of both at once.
func (s *session) drain() {
	giveUp := time.After(api.DefaultPluginRequestTimeout)
	for {
		select {
		case <-s.exchange.settle():
		case <-s.exchange.lost:
			return
		case <-giveUp:
			return
		}
		questions := s.exchange.questions()
		select {
		case <-time.After(linger):
		case <-s.exchange.lost:
			return
		}
		if s.exchange.questions() == questions {
			return
		}
	}
}

// release waits for the stub, whose connection is closed. That of NRI 0.12.5 would wait for ever, holding its lock,
// for a configuration that a runtime has not sent when it dies, so it is told that there will be none. That changes
// what the stub reads while it registers, and so has to wait until it no longer does.
func (s *session) release(plugin stub.Stub, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-s.exchange.lost:
	}
	s.exchange.end()
	select {
	case err := <-ended:
		return err
	case <-s.exchange.accepted:
	}
	if waiting, ok := plugin.(api.PluginService); ok && !s.configured {
		_, _ = waiting.Configure(context.Background(), &api.ConfigureRequest{})
	}
	return <-ended
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
