package keyless

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// origin is the name of each log in its checkpoints, and the host of its URL in a trusted root.
const origin = "rekor.example"

// BuildServers builds the servers of Fulcio, of Rekor v2 and of a timestamp authority.
func BuildServers(t testing.TB) *node.Tools {
	t.Helper()
	const module, of = "integration/tools/sigstore", "github.com/sigstore/"
	return rig.Must(node.BuildPrograms(t.Context(), []node.Recipe{
		{Name: "fulcio", Package: of + "fulcio", Module: module},
		{Name: "rekor", Package: of + "rekor-tiles/v2/cmd/rekor-server/posix", Module: module},
		{Name: "timestamp-server", Package: of + "timestamp-authority/v2/cmd/timestamp-server", Module: module},
	}, os.Stderr))(t)
}

// Log is a log of Rekor v2 on the loopback address: rekor-tiles with a new key and its entries in files.
type Log struct {
	URL string
	// Public is the path of its public key in PEM.
	Public string
}

// StartLog starts a log, which runs until the test ends.
func StartLog(t testing.TB, programs *node.Tools) *Log {
	t.Helper()
	directory := t.TempDir()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	rig.OK(t, err)
	key := filepath.Join(directory, "log.key")
	log := &Log{Public: filepath.Join(directory, "log.pub")}
	writePEM(t, key, "PRIVATE KEY", rig.Must(x509.MarshalPKCS8PrivateKey(private))(t))
	writePEM(t, log.Public, "PUBLIC KEY", rig.Must(x509.MarshalPKIXPublicKey(public))(t))
	ports := freePorts(t, 3)
	log.URL = "http://" + net.JoinHostPort("127.0.0.1", ports[0])
	start(t, programs.Path("rekor"), "serve", "--hostname="+origin, "--http-address=127.0.0.1", "--http-port="+ports[0],
		"--grpc-port="+ports[1], "--http-metrics-port="+ports[2], "--storage-dir="+filepath.Join(directory, "log"),
		"--signer-filepath="+key, "--checkpoint-interval=1s", "--batch-max-age=50ms")
	rig.Eventually(t, "the log to serve", func() error {
		_, err := get(t.Context(), http.DefaultClient, log.URL+"/healthz")
		return err
	})
	return log
}

// Stamper is a timestamp authority on the loopback address: sigstore/timestamp-authority with a key in memory.
type Stamper struct {
	URL string
	// Chain is the path of its certificates in PEM, from the one that signs to the root.
	Chain string
}

// StartStamper starts a timestamp authority, which runs until the test ends. The server serves metrics on TCP port 2112
// of all addresses, which no option changes. Therefore it has a network namespace of its own, and is reached by a Unix
// socket.
func StartStamper(t testing.TB, programs *node.Tools) *Stamper {
	t.Helper()
	directory := t.TempDir()
	socket := filepath.Join(directory, "socket")
	start(t, "unshare", "--net", programs.Path("timestamp-server"), "serve", "--scheme=unix", "--socket-path="+socket,
		"--timestamp-signer=memory", "--disable-ntp-monitoring")
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "timestamps.example"})
	proxy.Transport = transport
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	stamper := &Stamper{URL: server.URL + "/api/v1/timestamp", Chain: filepath.Join(directory, "chain.pem")}
	rig.Eventually(t, "the timestamp authority to serve", func() error {
		chain, err := get(t.Context(), &http.Client{Transport: transport}, stamper.URL+"/certchain")
		return errors.Join(err, os.WriteFile(stamper.Chain, chain, 0o600))
	})
	return stamper
}

// start starts a server. When the test ends, it is stopped; if the test failed, its log is printed.
func start(t testing.TB, path string, arguments ...string) {
	t.Helper()
	directory := rig.Must(node.NewDirectory())(t)
	log := directory.Path("server.log")
	process, err := directory.StartProgram(node.Program{Path: path, Arguments: arguments, Log: log})
	rig.OK(t, err)
	t.Cleanup(func() {
		process.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", path, node.Tail(log))
		}
		rig.OK(t, directory.Remove())
	})
}

func freePorts(t testing.TB, count int) (ports []string) {
	t.Helper()
	for _, port := range rig.Must(node.FreePorts(t.Context(), count))(t) {
		ports = append(ports, strconv.Itoa(port))
	}
	return ports
}

func get(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", from, response.Status)
	}
	return io.ReadAll(response.Body)
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	rig.OK(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
