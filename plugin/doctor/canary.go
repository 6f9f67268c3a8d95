package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/client"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/cri"
	"github.com/countersign/countersign/policy"
)

// Canaries is what happened to two containers, of which the policy of their namespace refuses one.
type Canaries struct {
	// Setup is why they could not be tried.
	Setup error
	// Refused and Admitted are why each was not created; nil: it was.
	Refused, Admitted error
	// Removed reports whether everything of them was removed, and Left is why it was not. If neither is set, that was not
	// tried.
	Removed bool
	Left    error
}

const (
	// canaryAttempts is how often the canaries are tried: a kubelet stops pods that it did not create, every two seconds,
	// in the middle of anything.
	canaryAttempts = 5
	canaryInterval = 50 * time.Millisecond
	// removeTimeout limits the removal of what is left, which does not depend on the time that the checks may take.
	removeTimeout = 10 * time.Second
)

// canary runs canaries on a node.
type canary struct {
	containerd *client.Client
	cri        *cri.Client
}

// RunCanaries tries to create two containers of one image, as the kubelet does, in a namespace that Kubernetes does not
// allow. It removes what an earlier run has left, and everything of its own.
func RunCanaries(ctx context.Context, config *conf.Config) (found Canaries) {
	unlock, err := lockCanaries(config.Containerd.Address)
	if err != nil {
		return Canaries{Setup: err}
	}
	defer unlock()
	c, err := connect(ctx, config.Containerd)
	if err != nil {
		return Canaries{Setup: err}
	}
	defer c.close()
	if err := c.remove(ctx); err != nil {
		return Canaries{Setup: fmt.Errorf("removing what an earlier run has left: %w", err), Left: err}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
		defer cancel()
		found.Left = c.remove(ctx)
		found.Removed = found.Left == nil
	}()
	image, err := c.image(ctx)
	if err != nil {
		return Canaries{Setup: err}
	}
	for range canaryAttempts {
		if found = c.try(ctx, image); found.isAnswer() || ctx.Err() != nil {
			break
		}
	}
	return found
}

// lockCanaries makes sure that no other process runs canaries. It locks the directory of containerd's socket, which
// only root can open, and creates no file.
func lockCanaries(address string) (unlock func(), err error) {
	directory, err := os.Open(filepath.Dir(address))
	if err != nil {
		return nil, fmt.Errorf("locking the canaries: %w", err)
	}
	if err := syscall.Flock(int(directory.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = directory.Close()
		return nil, fmt.Errorf("another process runs canaries: locking %s: %w", directory.Name(), err)
	}
	return func() { _ = directory.Close() }, nil
}

func connect(ctx context.Context, config conf.Containerd) (*canary, error) {
	connection, err := containerd.Connect(ctx, config.Address, config.Namespace)
	if err != nil {
		return nil, err
	}
	service, err := cri.Connect(config.Address)
	if err != nil {
		return nil, errors.Join(err, connection.Close())
	}
	return &canary{containerd: connection, cri: service}, nil
}

func (c *canary) close() { _ = errors.Join(c.cri.Close(), c.containerd.Close()) }

// image stores the image, waits until containerd's CRI knows it, and returns its ID.
func (c *canary) image(ctx context.Context) (string, error) {
	names := []string{policy.AdmittedCanary, policy.RefusedCanary}
	config, err := importImage(ctx, c.containerd, names)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		err := repeat(ctx, func() (bool, error) {
			id, err := c.cri.ImageID(ctx, name)
			return id == config.String(), err
		})
		if err != nil {
			return "", fmt.Errorf("waiting until containerd's CRI knows image %s: %w", name, err)
		}
	}
	return config.String(), nil
}

// repeat calls a function until it reports that it is done, it fails, or the context ends.
func repeat(ctx context.Context, call func() (done bool, err error)) error {
	ticker := time.NewTicker(canaryInterval)
	defer ticker.Stop()
	for {
		if done, err := call(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// try creates a pod and its containers.
func (c *canary) try(ctx context.Context, image string) (found Canaries) {
	pod := &cri.Pod{Namespace: policy.CanaryNamespace, Name: "canary", UID: rand.Text()}
	if err := c.cri.RunPod(ctx, pod); err != nil {
		return Canaries{Setup: err}
	}
	found.Refused = c.run(ctx, pod, image, policy.RefusedCanary)
	found.Admitted = c.run(ctx, pod, image, policy.AdmittedCanary)
	return found
}

// isAnswer reports whether containers were created, or refused by a plugin. Other errors may be due to a pod that
// somebody has stopped. A container that should have been refused and was created is an answer in any case.
func (c *Canaries) isAnswer() bool {
	if c.Setup != nil {
		return false
	}
	return c.Refused == nil || isValidation(c.Refused) && (c.Admitted == nil || isValidation(c.Admitted))
}

// isValidation reports whether an error is the result of a validation: by containerd's validator or by countersign.
func isValidation(err error) bool {
	return strings.Contains(err.Error(), "rejected container adjustment") || strings.Contains(err.Error(), refusal)
}

// refusal begins the refusals of countersign.
const refusal = "SignatureValidationFailed: "

// run creates a container, again if the decision is pending, as the kubelet does.
func (c *canary) run(ctx context.Context, pod *cri.Pod, image, reference string) (refused error) {
	err := repeat(ctx, func() (bool, error) {
		refused = c.cri.RunContainer(ctx, pod, image, reference)
		return refused == nil || !isReason(refused, policy.Pending), nil
	})
	if err != nil && refused == nil {
		return err
	}
	return refused
}

// isReason reports whether an error is a refusal of countersign with a reason.
func isReason(err error, reason policy.Reason) bool {
	return err != nil && strings.Contains(err.Error(), refusal) &&
		strings.HasSuffix(err.Error(), "("+string(reason)+")")
}

// isDeadline reports whether the time for the checks was over. containerd reports its own deadlines with another code.
func isDeadline(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
}

// remove removes all pods and images of canaries, and the lease of an image that was being stored.
func (c *canary) remove(ctx context.Context) error {
	if err := removeLease(ctx, c.containerd); err != nil {
		return err
	}
	if err := c.cri.RemovePods(ctx, policy.CanaryNamespace); err != nil {
		return err
	}
	for _, name := range []string{policy.AdmittedCanary, policy.RefusedCanary} {
		// containerd's CRI also removes the name that it gave the image. It may not know the image yet.
		if err := c.cri.RemoveImage(ctx, name); err != nil {
			return err
		}
	}
	left, err := c.containerd.ListImages(ctx, "name~="+strconv.Quote("^"+policy.CanaryImages))
	if err != nil {
		return fmt.Errorf("listing images: %w", err)
	}
	for _, image := range left {
		if err := c.containerd.ImageService().Delete(ctx, image.Name()); err != nil {
			return fmt.Errorf("removing image %s: %w", image.Name(), err)
		}
	}
	return nil
}
