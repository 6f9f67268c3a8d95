package metrics_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/internal/metrics"
)

func TestHealthIsRegistration(t *testing.T) {
	for name, test := range map[string]struct {
		set    func(*metrics.Metrics)
		status int
		want   string
	}{
		"not registered yet": {
			func(*metrics.Metrics) {},
			http.StatusServiceUnavailable,
			"registered with NRI: no\n" +
				"required by containerd: no\n" +
				"asked about pulls: no\n" +
				"sandbox image admitted: no\n" +
				"policy: no (0 documents, 0 of them cannot be loaded)\n",
		},
		"all is well": {
			func(m *metrics.Metrics) {
				m.Registered(true, "containerd 2.4.2")
				m.Required(true, "")
				m.Verified(true, "")
				m.Sandbox(true, "registry.k8s.io/pause:3.10")
				m.PolicyLoaded(3, 0)
			},
			http.StatusOK,
			"registered with NRI: yes (containerd 2.4.2)\n" +
				"required by containerd: yes\n" +
				"asked about pulls: yes\n" +
				"sandbox image admitted: yes (registry.k8s.io/pause:3.10)\n" +
				"policy: yes (3 documents, 0 of them cannot be loaded)\n",
		},
		"what a restart does not mend is said and is no ill health": {
			func(m *metrics.Metrics) {
				m.Registered(true, "")
				m.Required(false, "required_plugins is [vendor]")
				m.PolicyLoaded(3, 1)
			},
			http.StatusOK,
			"registered with NRI: yes\n" +
				"required by containerd: no (required_plugins is [vendor])\n" +
				"asked about pulls: no\n" +
				"sandbox image admitted: no\n" +
				"policy: no (3 documents, 1 of them cannot be loaded)\n",
		},
		"the connection was lost, with an error of several lines": {
			func(m *metrics.Metrics) {
				m.Registered(true, "")
				m.Registered(false, "dialling /var/run/nri/nri.sock:\nrefused")
			},
			http.StatusServiceUnavailable,
			"registered with NRI: no (dialling /var/run/nri/nri.sock: refused)\n" +
				"required by containerd: no\n" +
				"asked about pulls: no\n" +
				"sandbox image admitted: no\n" +
				"policy: no (0 documents, 0 of them cannot be loaded)\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := metrics.New(nil)
			test.set(m)
			status, body := get(t, serve(t, m)+"/healthz")
			if status != test.status || body != test.want {
				t.Errorf("answered %d:\n%swant %d:\n%s", status, body, test.status, test.want)
			}
		})
	}
}

func TestServesUntilTheContextEnds(t *testing.T) {
	m := metrics.New(nil)
	listener, err := metrics.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- m.Serve(ctx, listener) }()

	url := "http://" + listener.Addr().String()
	if status, _ := get(t, url+"/metrics"); status != http.StatusOK {
		t.Errorf("/metrics answered %d", status)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("serving ended with %v", err)
	}
	if connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String()); err == nil {
		connection.Close()
		t.Error("the port is still open")
	}
}

func TestBrokenListenerEndsServing(t *testing.T) {
	listener, err := metrics.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := metrics.New(nil).Serve(t.Context(), listener); err == nil {
		t.Error("serving on a closed listener ended without an error")
	}
}

func TestListensOnLoopbackOnly(t *testing.T) {
	for name, test := range map[string]struct{ address, want string }{
		"every interface":        {"0.0.0.0:0", "not a loopback address"},
		"no host":                {":0", "not a loopback address"},
		"every interface, IPv6":  {"[::]:0", "not a loopback address"},
		"no port":                {"127.0.0.1", "missing port"},
		"another machine's":      {"192.0.2.1:0", "not a loopback address"},
		"a port that is a word":  {"127.0.0.1:http-alt-x", "unknown port"},
		"a port that is too big": {"127.0.0.1:65536", "invalid port"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := metrics.Listen(t.Context(), test.address)
			if err == nil {
				listener.Close()
				t.Fatal("listens")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.address) {
				t.Errorf("error %q, want one with %q and the address", err, test.want)
			}
		})
	}
}

func TestPortInUseIsReported(t *testing.T) {
	first, err := metrics.Listen(t.Context(), "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := metrics.Listen(t.Context(), first.Addr().String())
	if err == nil {
		second.Close()
		t.Fatal("two listen on one port")
	}
	if !strings.Contains(err.Error(), "address already in use; another countersign may be running") {
		t.Errorf("error %q", err)
	}
}
