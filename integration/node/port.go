package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePort chooses from firstPort up to, but without, endPort: below the ports that Linux gives to outgoing connections
// (net.ipv4.ip_local_port_range, from 32768 on), and below the node ports of Kubernetes (from 30000 on).
const firstPort, endPort = 20000, 30000

// FreePort returns a TCP port that is not in use on any address at this moment. A server binds the port later; no
// outgoing connection can take it until then.
func FreePort(ctx context.Context) (int, error) {
	ports, err := FreePorts(ctx, 1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// FreePorts returns that many different ports, as [FreePort] does. The ports are random: another test that chooses
// ports at the same time is unlikely to choose one of these.
func FreePorts(ctx context.Context, count int) (_ []int, err error) {
	ports := make([]int, count)
	for i := range ports {
		listener, problem := listenBelowOutgoing(ctx)
		if problem != nil {
			return nil, fmt.Errorf("looking for a free port: %w", problem)
		}
		defer func() { err = errors.Join(err, listener.Close()) }()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// listenBelowOutgoing listens on a random port, and tries another one while a port is in use.
func listenBelowOutgoing(ctx context.Context) (net.Listener, error) {
	var problem error
	for range 100 {
		port := firstPort + rand.IntN(endPort-firstPort) //nolint:gosec // A port is no secret.
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(port)))
		if err == nil {
			return listener, nil
		}
		problem = err
	}
	return nil, problem
}
