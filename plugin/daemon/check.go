package daemon

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// checkEndpoint takes a [CheckRequest] and answers with a [CheckAnswer].
const checkEndpoint = "/v1/check"

const (
	// checkTimeout bounds one check, in which pendingInterval is how often a pending decision is made again.
	checkTimeout    = 5 * time.Second
	pendingInterval = 200 * time.Millisecond
	// maxChecks bounds concurrent checks: people run them, and containers must not wait for them.
	maxChecks = 2
)

// CheckRequest asks what the daemon would answer containerd about a container.
type CheckRequest struct {
	Namespace string        `json:"namespace"`
	Reference string        `json:"reference"`
	Config    digest.Digest `json:"config"`
}

// CheckAnswer is the daemon's verdict, and the mode that is in force for the namespace.
type CheckAnswer struct {
	Verdict
	Mode   string `json:"mode"`
	Advice string `json:"advice"`
}

// Verdict is a verdict as reports have it. Its JSON is an interface of the command check, and only grows.
type Verdict struct {
	Outcome
	Basis
}

// Outcome is whether an image is admitted, and the reason.
type Outcome struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason"`
}

// Basis is what a verdict is about, and by which scope of which document it was reached.
type Basis struct {
	Digest   string `json:"digest"`
	Document string `json:"document"`
	Scope    string `json:"scope"`
	Detail   string `json:"detail"`
}

// VerdictOf returns a verdict of package policy as reports have it.
func VerdictOf(verdict policy.Verdict) Verdict {
	return Verdict{
		Outcome{Allowed: verdict.Admitted(), Reason: string(verdict.Reason)},
		Basis{
			Digest: verdict.Digest.String(), Document: verdict.Document, Scope: verdict.Scope,
			Detail: strings.TrimSpace(verdict.Detail),
		},
	}
}

// Check asks the daemon at a socket for its verdict. Without a daemon the error is [socket.ErrNoDaemon].
func Check(ctx context.Context, client *socket.Client, request CheckRequest) (CheckAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout+time.Second)
	defer cancel()
	return socket.Call[CheckAnswer](ctx, client, checkEndpoint, request)
}

// checks answers the command check with the daemon's own decision.
type checks struct {
	decide func(context.Context, policy.Question) policy.Verdict
	advise func(policy.Verdict) string
	mode   func(namespace string) string
	slots  chan struct{}
}

// answer answers one request. A pending decision is made again while there is time, as the kubelet would retry.
func (c *checks) answer(ctx context.Context, request CheckRequest) (CheckAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return CheckAnswer{}, errors.New("too many other checks are in progress")
	}
	question := policy.Question{Namespace: request.Namespace, Reference: request.Reference, Config: request.Config}
	verdict := c.decide(ctx, question)
	for verdict.Reason == policy.Pending && ctx.Err() == nil {
		pause(ctx, pendingInterval)
		// A decision after the deadline is about the deadline and not about the image.
		if next := c.decide(ctx, question); ctx.Err() == nil {
			verdict = next
		}
	}
	return CheckAnswer{VerdictOf(verdict), c.mode(request.Namespace), c.advise(verdict)}, nil
}
