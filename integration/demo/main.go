// Demo boots a throwaway node and shows on it what countersign is for: an image that a loose namespace cached is
// refused in a strict one. It ends with exit status 0 only if each step did what it says, and leaves nothing behind.
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

// limit bounds the whole of it, the building of the programs included.
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

// show tells the whole story, step by step, and stops at the first that does not do what it says.
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
