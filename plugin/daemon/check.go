package daemon

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// checkEndpoint takes a [CheckRequest] and answers with a [CheckAnswer].
const checkEndpoint = "/v1/check"

const (
	// checkTimeout limits one check; a pending decision is repeated every pendingInterval until then.
	checkTimeout    = 5 * time.Second
	pendingInterval = 200 * time.Millisecond
	// maxChecks limits concurrent checks: containers must not wait for checks, which people run.
	maxChecks = 2
)

// CheckRequest asks how the daemon would decide about a container.
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
	// FoundBy is how the images of this node's containers are identified.
	FoundBy policy.FoundBy `json:"found_by"`
	// Signers are who made the signatures that are accepted.
	Signers []string `json:"signers,omitempty"`
}

// Verdict is a verdict in reports. Its JSON is the public interface of the command check, to which fields are only
// added.
type Verdict struct {
	Outcome
	Basis
}

// Outcome is whether an image is admitted, and the reason.
type Outcome struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason"`
	// WouldDeny is the reason why an admitted image would be denied if the requirements were enforced that are only
	// audited, or empty.
	WouldDeny string `json:"would_deny_reason,omitempty"`
}

// Basis is the subject of a verdict, and the scope and document that decided.
type Basis struct {
	Digest   string `json:"digest"`
	Document string `json:"document"`
	Scope    string `json:"scope"`
	Detail   string `json:"detail"`
}

// VerdictOf converts a verdict of package policy.
func VerdictOf(verdict policy.Verdict) Verdict {
	outcome := Outcome{Allowed: verdict.Admitted(), Reason: string(verdict.Reason)}
	if would := verdict.WouldDeny; verdict.Admitted() && would != nil {
		outcome.WouldDeny = string(would.Reason)
		verdict.Detail = fmt.Sprintf("a policy in audit mode would refuse it (%s): %s", would.Reason, would.Detail)
	}
	return Verdict{
		outcome,
		Basis{
			Digest: verdict.Digest.String(), Document: verdict.Document, Scope: verdict.Scope,
			Detail: strings.TrimSpace(verdict.Detail),
		},
	}
}

// DecideAlike decides about an image that only its layers identify: as at the creation of a container, all images with
// which its container could be confused must be accepted.
func DecideAlike(
	ctx context.Context, q policy.Question, alike func(context.Context, policy.Question) ([]digest.Digest, error),
	decide func(context.Context, policy.Question) policy.Verdict,
) policy.Verdict {
	configs, err := alike(ctx, q)
	if err != nil {
		return policy.Denial(err)
	}
	verdict, _ := nri.DecideEvery(configs, func(config digest.Digest) policy.Verdict {
		q.Config = config
		return decide(ctx, q)
	})
	return verdict
}

// Check requests the verdict of the daemon at a socket. Without a daemon the error is [socket.ErrNoDaemon].
func Check(ctx context.Context, client *socket.Client, request CheckRequest) (CheckAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout+time.Second)
	defer cancel()
	return socket.Call[CheckAnswer](ctx, client, checkEndpoint, request)
}

// checks answers check requests with the daemon's own decisions.
type checks struct {
	decide func(context.Context, policy.Question) policy.Verdict
	advise func(policy.Verdict) string
	mode   func(namespace string) string
	// foundBy returns how images are identified, and alike the images that a container with the same layers could run.
	foundBy func() policy.FoundBy
	alike   func(context.Context, policy.Question) ([]digest.Digest, error)
	// signers returns who signed an admitted image.
	signers func(context.Context, policy.Question) []string
	slots   slots
}

// slots limits the checks and explanations in progress.
type slots chan struct{}

// acquire waits for a slot until the context ends.
func (s slots) acquire(ctx context.Context) (release func(), err error) {
	select {
	case s <- struct{}{}:
		return func() { <-s }, nil
	case <-ctx.Done():
		return nil, errors.New("too many other checks are in progress")
	}
}

// answer answers one request. It repeats a pending decision until the timeout, as the kubelet would retry.
func (c *checks) answer(ctx context.Context, request CheckRequest) (CheckAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	release, err := c.slots.acquire(ctx)
	if err != nil {
		return CheckAnswer{}, err
	}
	defer release()
	question := policy.Question{Namespace: request.Namespace, Reference: request.Reference, Config: request.Config}
	foundBy := c.foundBy()
	decide := c.decide
	if foundBy == policy.FoundByLayers {
		decide = func(ctx context.Context, q policy.Question) policy.Verdict {
			return DecideAlike(ctx, q, c.alike, c.decide)
		}
	}
	verdict := decide(ctx, question)
	for verdict.Reason == policy.Pending && ctx.Err() == nil {
		pause(ctx, pendingInterval)
		// A decision after the deadline would only describe the deadline.
		if next := decide(ctx, question); ctx.Err() == nil {
			verdict = next
		}
	}
	answer := CheckAnswer{
		Verdict: VerdictOf(verdict), Mode: c.mode(request.Namespace), Advice: c.advise(verdict), FoundBy: foundBy,
	}
	if answer.Allowed {
		answer.Signers = c.signers(ctx, question)
	}
	return answer, nil
}
