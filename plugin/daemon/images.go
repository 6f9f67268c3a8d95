package daemon

import (
	"context"
	"errors"
	"fmt"

	"github.com/countersign/countersign/policy/origin"
)

// ErrImagesUnknown is the error of what needs to know all images of this node before containerd has listed them.
var ErrImagesUnknown = errors.New("the images on this node are not known yet")

// AwaitImages waits until it is known which images are on this node. If the context ends before, the error is
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
