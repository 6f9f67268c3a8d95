package cri

import (
	"context"
	"fmt"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Stop stops a container: it is killed if it does not end in time. Stop returns when it has ended.
func (c *Client) Stop(ctx context.Context, id string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, 2*within)
	defer cancel()
	request := &runtime.StopContainerRequest{ContainerId: id, Timeout: int64(within.Seconds())}
	if _, err := c.runtime.StopContainer(ctx, request); err != nil {
		return fmt.Errorf("stopping container %s: %w", id, err)
	}
	return nil
}
