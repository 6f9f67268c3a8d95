package nri

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/containerd/ttrpc"
)

// exchange is the conversation in which containerd asks, watched where NRI's stub has no ear: it knows when the last
// byte of an answer has been written, and when the connection has ended. It does so for either kind of connection, as
// part of the stub's own ttrpc server.
type exchange struct {
	mu      sync.Mutex
	asked   int // questions so far
	owed    int // those whose answer is not on the wire
	settled chan struct{}
	closed  bool
	asking  sync.WaitGroup

	// lost is closed when nothing can be asked any more.
	lost     chan struct{}
	loseOnce sync.Once

	// accepted is closed when the runtime has answered our registration.
	accepted   chan struct{}
	acceptOnce sync.Once
}

func newExchange() *exchange {
	return &exchange{lost: make(chan struct{}), accepted: make(chan struct{})}
}

func (e *exchange) clientOptions() []ttrpc.ClientOpts {
	return []ttrpc.ClientOpts{ttrpc.WithUnaryClientInterceptor(e.register)}
}

// register passes on what the stub asks of the runtime, which is no more than to be registered.
func (e *exchange) register(
	ctx context.Context, request *ttrpc.Request, response *ttrpc.Response, _ *ttrpc.UnaryClientInfo, ask ttrpc.Invoker,
) error {
	if err := ask(ctx, request, response); err != nil {
		return err
	}
	e.acceptOnce.Do(func() { close(e.accepted) })
	return nil
}

func (e *exchange) options() []ttrpc.ServerOpt {
	return []ttrpc.ServerOpt{ttrpc.WithServerHandshaker(e), ttrpc.WithUnaryServerInterceptor(e.ask)}
}

// ask lets one question pass, unless the exchange is over.
func (e *exchange) ask(
	ctx context.Context, unmarshal ttrpc.Unmarshaler, _ *ttrpc.UnaryServerInfo, method ttrpc.Method,
) (any, error) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, errors.New("countersign is leaving this connection")
	}
	e.asked++
	e.owed++
	e.asking.Add(1)
	e.mu.Unlock()
	defer e.asking.Done()
	return method(ctx, unmarshal)
}

// wrote is told of each answer. Each is one write: ttrpc 1.2.9 buffers 4 KiB before, and ours are shorter.
func (e *exchange) wrote() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.owed = max(e.owed-1, 0)
	if e.owed == 0 && e.settled != nil {
		close(e.settled)
		e.settled = nil
	}
}

func (e *exchange) questions() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.asked
}

// settle returns what is closed once everything that was asked is answered.
func (e *exchange) settle() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	settled := make(chan struct{})
	if e.owed == 0 {
		close(settled)
	} else {
		e.settled = settled
	}
	return settled
}

// end lets no further question pass and waits for those that did.
func (e *exchange) end() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.asking.Wait()
}

func (e *exchange) over() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// Handshake implements [ttrpc.Handshaker]: it puts an ear on the connection.
func (e *exchange) Handshake(_ context.Context, connection net.Conn) (net.Conn, any, error) {
	return &heardConn{Conn: connection, exchange: e}, nil, nil
}

// heardConn tells the exchange what becomes of the connection.
type heardConn struct {
	net.Conn
	exchange *exchange
}

// Read implements [net.Conn].
func (c *heardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		c.exchange.loseOnce.Do(func() { close(c.exchange.lost) })
	}
	return n, err //nolint:wrapcheck // A connection's errors are compared by its readers.
}

// Write implements [net.Conn].
func (c *heardConn) Write(b []byte) (int, error) {
	defer c.exchange.wrote()
	return c.Conn.Write(b) //nolint:wrapcheck // A connection's errors are compared by its writers.
}
