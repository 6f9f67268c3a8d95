package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/countersign/countersign/integration/node"
)

// stepTimeout is the timeout of a step. A step retries pending containers, as a kubelet does.
const stepTimeout = time.Minute

func (s *stage) looseNamespaceRunsUnsigned(ctx context.Context) error {
	s.title("dev pulls an unsigned image and runs it")
	return s.runs(ctx, "dev", s.unsigned.Reference, node.IfNotPresent, "hello from the unsigned image")
}

func (s *stage) strictNamespaceRefusesCached(ctx context.Context) error {
	s.title("prod requests the same image, which the node now has, so there is no pull to verify")
	return s.refused(ctx, "prod", s.unsigned.Reference, node.Never, "(unsigned)")
}

func (s *stage) strictNamespaceRunsSigned(ctx context.Context) error {
	s.title("prod runs an image that is signed in cosign's old format")
	return s.runs(ctx, "prod", s.signed.Reference, node.IfNotPresent, "hello from the signed image")
}

func (s *stage) strictNamespaceRunsBundled(ctx context.Context) error {
	s.title("prod runs an image that is signed in cosign 3's default format: a Sigstore bundle")
	return s.runs(ctx, "prod", s.bundled.Reference, node.IfNotPresent, "hello from the bundled image")
}

func (s *stage) noNamespaceMayPull(ctx context.Context) error {
	s.title("dev requests an image that no namespace on this node may run: it is not even downloaded")
	return s.refused(ctx, "dev", s.foreign.Reference, node.IfNotPresent, "(rejected)")
}

func (s *stage) strictNamespaceRefusesImageID(ctx context.Context) error {
	s.title("prod requests dev's image by its ID, a name that matches no scope")
	return s.refused(ctx, "prod", s.unsigned.Config.String(), node.Never, "(unsigned)")
}

func (s *stage) editedPolicyCountsForNext(ctx context.Context) error {
	s.title("prod's policy is edited and now rejects everything: it applies to the next container")
	if err := s.node.WritePolicy("prod", node.Policy{Default: node.Reject()}.JSON()); err != nil {
		return err
	}
	// The daemon notices the change within a second, so the old policy may apply to the first containers.
	return s.eventually(ctx, func(ctx context.Context) error {
		return s.refused(ctx, "prod", s.signed.Reference, node.Never, "(rejected)")
	})
}

func (s *stage) title(what string) {
	s.step++
	s.say("\n%d. %s", s.step, what)
}

// runs runs a pod, and checks that its container writes the line.
func (s *stage) runs(ctx context.Context, namespace, image string, pull node.PullPolicy, line string) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	pod, err := s.node.RunPodUntil(ctx, s.pod(namespace, image, pull))
	if err != nil {
		return fmt.Errorf("the pod in %s should run: %w", namespace, err)
	}
	marker, err := pod.Marker(ctx)
	if err != nil {
		return err
	}
	if marker != line {
		return fmt.Errorf("the container wrote %q, not %q", marker, line)
	}
	s.say("   namespace %s, image %s\n   ADMITTED; the container says: %s", namespace, image, marker)
	return pod.Remove(ctx)
}

// refused checks that countersign refuses a pod for the reason.
func (s *stage) refused(ctx context.Context, namespace, image string, pull node.PullPolicy, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	pod, err := s.node.RunPodUntil(ctx, s.pod(namespace, image, pull))
	if err == nil {
		return errors.Join(fmt.Errorf("the pod in %s should be refused, and runs", namespace), pod.Remove(ctx))
	}
	text := err.Error()
	at := strings.Index(text, "SignatureValidationFailed: ")
	if at < 0 || !strings.HasSuffix(text, reason) {
		return fmt.Errorf("the pod in %s should be refused %s, and is: %w", namespace, reason, err)
	}
	s.say("   namespace %s, image %s\n   REFUSED: %s", namespace, image, text[at:])
	return nil
}

func (s *stage) eventually(ctx context.Context, attempt func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	for {
		err := attempt(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *stage) pod(namespace, image string, pull node.PullPolicy) node.Pod {
	return node.Pod{
		Namespace: namespace,
		Name:      fmt.Sprintf("step-%d", s.step),
		Container: node.Container{Image: image, Pull: pull},
	}
}
