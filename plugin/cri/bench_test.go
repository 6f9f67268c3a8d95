package cri_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/countersign/countersign/plugin/cri"
)

// BenchmarkCall makes one call of the size of an image status, at the runtime's socket and through the proxy.
func BenchmarkCall(b *testing.B) {
	containerd := newRuntime(b)
	proxy, err := cri.New(cri.Config{
		Containerd: containerd.path, Timeout: func() time.Duration { return time.Hour }, DrainTimeout: time.Hour,
		Decide: func(context.Context, cri.Pull) string { return "" }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(b.TempDir(), "cri.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- proxy.Serve(ctx, listener) }()
	b.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
		_ = proxy.Close()
	})
	for _, socket := range []struct{ name, path string }{{"runtime", containerd.path}, {"proxy", path}} {
		b.Run(socket.name, func(b *testing.B) {
			client, err := grpc.NewClient("unix:"+socket.path, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				b.Fatal(err)
			}
			defer client.Close()
			message := bytes.Repeat([]byte("x"), 2<<10)
			b.ReportAllocs()
			for b.Loop() {
				var reply []byte
				err := client.Invoke(b.Context(), "/runtime.v1.ImageService/ImageStatus", &message, &reply,
					grpc.ForceCodec(bytesCodec{}))
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
