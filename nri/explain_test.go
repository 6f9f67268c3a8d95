package nri_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/nri"
)

// newPlugin returns a plugin, its log, and the results of its registrations.
func newPlugin(socket string, handler *nri.Handler) (plugin *nri.Plugin, log *lines, reported <-chan error) {
	log = newLines()
	registered := make(chan error, 1000)
	return &nri.Plugin{
		Socket: socket, Handler: handler, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Registered: func(err error) { registered <- err },
	}, log, registered
}

// run runs a plugin until the test ends.
func run(t testing.TB, plugin *nri.Plugin) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = plugin.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		await(t, ended, "Run to return")
	})
}

// TestUnsupportedContainerdIsNotConnectedTo: the error is the version of containerd, not a failure of NRI.
func TestUnsupportedContainerdIsNotConnectedTo(t *testing.T) {
	handler, _ := newHandler()
	listener, socket := bareSocket(t)
	plugin, log, reported := newPlugin(socket, handler)
	versions := make(chan string, 2)
	versions <- "2.2.3"
	versions <- "2.2.9"
	plugin.Version = func(context.Context) (string, error) { return <-versions, nil }
	run(t, plugin)
	if err := await(t, reported, "an attempt"); !errors.Is(err, nri.ErrUnsupported) {
		t.Errorf("reported %v", err)
	}
	log.await(t, "refusing to serve: unsupported runtime: containerd 2.2.3 restores containers", 1)
	// The first connection is that of the second attempt.
	acceptBare(t, listener)
	if len(versions) > 0 {
		t.Error("connected before containerd was asked for its version")
	}
	close(versions)
}

func TestContainerdsVersionIsAskedBeforeNRIIsBlamed(t *testing.T) {
	for name, test := range map[string]struct {
		version     string
		err         error
		level, want string
		unsupported bool
	}{
		"too old": {
			"1.7.27", nil, "level=ERROR", "containerd 1.7.27 does not let NRI plugins refuse a container reliably", true,
		},
		"new enough": {"2.4.2", nil, "level=WARN", "and is this its socket?); containerd 2.4.2 runs", false},
		"not known": {
			"", errors.New("connection refused"), "level=WARN", "containerd's version is unknown too: connection refused",
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			handler, _ := newHandler()
			plugin, log, reported := newPlugin(filepath.Join(t.TempDir(), "nri.sock"), handler)
			plugin.Version = func(context.Context) (string, error) { return test.version, test.err }
			run(t, plugin)
			if err := await(t, reported, "an attempt"); errors.Is(err, nri.ErrUnsupported) != test.unsupported {
				t.Errorf("reported %v", err)
			}
			log.await(t, test.want, 1)
			log.await(t, test.level, 1)
		})
	}
}
