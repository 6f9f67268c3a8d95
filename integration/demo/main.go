// Demo boots a throwaway node and demonstrates countersign on it: an image that a permissive namespace pulled is
// refused in a strict one. It exits with status 0 only if each step has the announced result. It leaves nothing behind.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// limit is the timeout of the demo, including the time to build the programs.
const limit = 30 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := show(ctx, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		cancel()
		stop()
		os.Exit(1)
	}
}

// show runs the demo step by step, and stops at the first step that does not have the announced result.
func show(ctx context.Context, out io.Writer) (err error) {
	s, err := setUp(ctx, out)
	if err != nil {
		return err
	}
	defer func() {
		if closing := s.close(); err == nil {
			err = closing
		}
	}()
	for _, step := range []func(context.Context) error{
		s.looseNamespaceRunsUnsigned,
		s.strictNamespaceRefusesCached,
		s.strictNamespaceRunsSigned,
		s.strictNamespaceRunsBundled,
		s.noNamespaceMayPull,
		s.strictNamespaceRefusesImageID,
		s.editedPolicyCountsForNext,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.say("\nAll of this was real: containerd, runc, the registry, cosign and countersign ran on this machine just now.")
	return nil
}
