package nri_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/countersign/countersign/nri"
)

func TestContainerdsVersionIsAskedBeforeNRIIsBlamed(t *testing.T) {
	for name, test := range map[string]struct {
		version     string
		err         error
		level, want string
		unsupported bool
	}{
		"too old": {
			"1.7.27", nil, "level=ERROR", "containerd 1.7.27 does not tell NRI plugins which image a container runs", true,
		},
		"new enough": {"2.4.2", nil, "level=WARN", "containerd 2.4.2 runs: is NRI enabled", false},
		"not known": {
			"", errors.New("connection refused"), "level=WARN", "containerd's version is unknown too: connection refused",
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			log, told := newLines(), make(chan error, 1000)
			handler, _ := newHandler()
			plugin := &nri.Plugin{
				Socket: filepath.Join(t.TempDir(), "nri.sock"), Handler: handler,
				Logger: slog.New(slog.NewTextHandler(log, nil)), Registered: func(err error) { told <- err },
				Version: func(context.Context) (string, error) { return test.version, test.err },
			}
			ended := make(chan struct{})
			go func() { defer close(ended); _ = plugin.Run(ctx) }()
			if err := await(t, told, "an attempt"); errors.Is(err, nri.ErrUnsupported) != test.unsupported {
				t.Errorf("told %v", err)
			}
			log.await(t, test.want, 1)
			log.await(t, test.level, 1)
			cancel()
			await(t, ended, "Run to return")
		})
	}
}
