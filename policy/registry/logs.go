package registry

import (
	"context"
	"io"

	"github.com/containerd/log"  //nolint:depguard // containerd's resolver logs by it, to the standard error by default.
	"github.com/sirupsen/logrus" //nolint:depguard // The only way to have containerd's resolver log nowhere.
)

// discardLogs keeps containerd's resolver from writing its own lines among ours: its errors tell the same.
func discardLogs(ctx context.Context) context.Context {
	nowhere := logrus.New()
	nowhere.SetOutput(io.Discard)
	nowhere.SetLevel(logrus.PanicLevel)
	return log.WithLogger(ctx, logrus.NewEntry(nowhere))
}
