package registry

import (
	"context"
	"io"

	"github.com/containerd/log"  //nolint:depguard // containerd's resolver logs with it, by default to standard error.
	"github.com/sirupsen/logrus" //nolint:depguard // The only way to discard the logs of containerd's resolver.
)

// discardLogs discards the log lines of containerd's resolver: its errors contain the same.
func discardLogs(ctx context.Context) context.Context {
	nowhere := logrus.New()
	nowhere.SetOutput(io.Discard)
	nowhere.SetLevel(logrus.PanicLevel)
	return log.WithLogger(ctx, logrus.NewEntry(nowhere))
}
