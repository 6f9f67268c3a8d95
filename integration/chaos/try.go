//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
)

// trial is a container that is requested again and again.
type trial struct {
	name string
	// signed reports whether it must be admitted; all others must be refused.
	signed  bool
	request *cri.CreateContainerRequest
}

// answer is what came of a try.
type answer uint8

const (
	// none: containerd did not create the container, for a reason other than the daemon.
	none answer = iota
	admitted
	refused
)

// result is the result of one try.
type result struct {
	*trial
	// container is the container's name, which is unique.
	container string
	answer    answer
	err       error
	began     time.Time
	took      time.Duration
}

// isWrong reports whether the policy says otherwise.
func (r *result) isWrong() bool {
	return r.answer == admitted && !r.signed || r.answer == refused && r.signed
}

// isPending reports whether the daemon had no time to decide, as happens on a machine that is busy with other things.
func (r *result) isPending() bool {
	return r.err != nil && strings.HasSuffix(r.err.Error(), "(pending)")
}

// refusalPrefix is the beginning of each text of countersign's in containerd's errors.
const refusalPrefix = "SignatureValidationFailed: "

// requester requests containers.
type requester struct {
	cri    *node.CRI
	number atomic.Int64
}

// tryTimeout is how long a try may take. The kubelet gives containerd two minutes.
const tryTimeout = time.Minute

// try requests a container once, and removes it.
func (r *requester) try(ctx context.Context, of *trial) *result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
	defer cancel()
	request, _ := proto.Clone(of.request).(*cri.CreateContainerRequest)
	got := &result{trial: of, container: fmt.Sprintf("try-%d", r.number.Add(1)), began: time.Now()}
	request.Config.Metadata.Name = got.container
	created, err := r.cri.Runtime.CreateContainer(ctx, request)
	got.took, got.err = time.Since(got.began), err
	switch {
	case err == nil:
		got.answer = admitted
		// What cannot be removed now is removed with its pod.
		_, _ = r.cri.Runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: created.GetContainerId()})
	case strings.Contains(err.Error(), refusalPrefix):
		got.answer = refused
	}
	return got
}

// pause waits, and reports whether the context has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
