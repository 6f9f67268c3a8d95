package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/internal/socket"
)

// BenchmarkProgram measures how long a pull waits for the program, from start to exit, if the daemon answers
// immediately. The bound is a median of 10 ms.
func BenchmarkProgram(b *testing.B) {
	directory := b.TempDir()
	program, path := filepath.Join(directory, "countersign-verifier"), filepath.Join(directory, "s")
	if text, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, text)
	}
	config := filepath.Join(directory, "config.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "[listen]\nsocket = %q\n", path), 0o600); err != nil {
		b.Fatal(err)
	}
	listener, err := socket.Listen(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- socket.Serve(ctx, listener,
			socket.Endpoint(func(context.Context, socket.PullRequest) (socket.PullAnswer, error) {
				return socket.PullAnswer{Decision: socket.Admit, Message: "x (accepted)"}, nil
			}))
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	const descriptor = `{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"` + digest + `","size":1}`

	var times []time.Duration
	for b.Loop() {
		command := exec.CommandContext(b.Context(), program, "-config", config, "-name", "registry.example/app:v1",
			"-digest", digest, "-stdin-media-type", "application/vnd.oci.descriptor.v1+json")
		command.Env = []string{}
		command.Stdin = strings.NewReader(descriptor)
		started := time.Now()
		if text, err := command.CombinedOutput(); err != nil {
			b.Fatalf("%v: %s", err, text)
		}
		times = append(times, time.Since(started))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "ms-p99")
}
