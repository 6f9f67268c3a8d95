package nri

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/containerd/ttrpc"
)

// connTracker tracks what NRI's stub does not report of its connection: whether the last byte of each reply has been
// written, and whether the connection has ended. It is part of the stub's own ttrpc server.
type connTracker struct {
	mu             sync.Mutex
	requests       int // so far
	pendingReplies int // requests whose reply is not written yet
	drained        chan struct{}
	closed         bool
	handling       sync.WaitGroup

	// disconnected is closed when no more requests can arrive.
	disconnected   chan struct{}
	disconnectOnce sync.Once

	// accepted is closed when the runtime has answered our registration.
	accepted   chan struct{}
	acceptOnce sync.Once
}

func newConnTracker() *connTracker {
	return &connTracker{disconnected: make(chan struct{}), accepted: make(chan struct{})}
}

func (t *connTracker) clientOptions() []ttrpc.ClientOpts {
	return []ttrpc.ClientOpts{ttrpc.WithUnaryClientInterceptor(t.register)}
}

// register forwards the stub's only request to the runtime, its registration. It waits for the answer until the
// connection ends, and not five seconds as the stub does: see [ErrUnanswered].
func (t *connTracker) register(
	ctx context.Context, request *ttrpc.Request, response *ttrpc.Response, _ *ttrpc.UnaryClientInfo, invoke ttrpc.Invoker,
) error {
	request.TimeoutNano = 0
	if err := invoke(context.WithoutCancel(ctx), request, response); err != nil {
		return err
	}
	t.acceptOnce.Do(func() { close(t.accepted) })
	return nil
}

func (t *connTracker) options() []ttrpc.ServerOpt {
	return []ttrpc.ServerOpt{ttrpc.WithServerHandshaker(t), ttrpc.WithUnaryServerInterceptor(t.handle)}
}

// handle forwards one request, unless the tracker is closed.
func (t *connTracker) handle(
	ctx context.Context, unmarshal ttrpc.Unmarshaler, _ *ttrpc.UnaryServerInfo, method ttrpc.Method,
) (any, error) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, errors.New("countersign is leaving this connection")
	}
	t.requests++
	t.pendingReplies++
	t.handling.Add(1)
	t.mu.Unlock()
	defer t.handling.Done()
	return method(ctx, unmarshal)
}

// replyWritten counts a reply. Each is one write: ttrpc 1.2.9 buffers 4 KiB, and ours are shorter.
func (t *connTracker) replyWritten() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pendingReplies = max(t.pendingReplies-1, 0)
	if t.pendingReplies == 0 && t.drained != nil {
		close(t.drained)
		t.drained = nil
	}
}

func (t *connTracker) requestCount() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.requests
}

// awaitReplies returns a channel that is closed once every request has its reply.
func (t *connTracker) awaitReplies() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	drained := make(chan struct{})
	if t.pendingReplies == 0 {
		close(drained)
	} else {
		t.drained = drained
	}
	return drained
}

// close refuses further requests and waits for those being handled.
func (t *connTracker) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.handling.Wait()
}

func (t *connTracker) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// Handshake implements [ttrpc.Handshaker]: it wraps the connection.
func (t *connTracker) Handshake(_ context.Context, connection net.Conn) (net.Conn, any, error) {
	return &trackedConn{Conn: connection, tracker: t}, nil, nil
}

// trackedConn reports reads, writes and the end of the connection to the tracker.
type trackedConn struct {
	net.Conn
	tracker *connTracker
}

// Read implements [net.Conn].
func (c *trackedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.tracker.disconnectOnce.Do(func() { close(c.tracker.disconnected) })
	}
	return n, err //nolint:wrapcheck // A connection's errors are compared by its readers.
}

// Write implements [net.Conn].
func (c *trackedConn) Write(b []byte) (int, error) {
	defer c.tracker.replyWritten()
	return c.Conn.Write(b) //nolint:wrapcheck // A connection's errors are compared by its writers.
}
