package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/countersign/countersign/policy/origin"
)

// ErrImagesUnknown is returned by functions that need all images of this node before containerd has listed them.
var ErrImagesUnknown = errors.New("the images on this node are not known yet")

// AwaitImages waits until all images on this node are known. If the context ends before that, the error is
// [ErrImagesUnknown].
func AwaitImages(ctx context.Context, images *origin.Containerd) error {
	for {
		changed := images.Changed()
		if images.State().Complete() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrImagesUnknown, ctx.Err())
		}
	}
}
