package pull

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// VerifierEndpoint answers containerd's image verifier at the daemon's socket.
type VerifierEndpoint struct {
	Gate *Gate
	// Timeout returns how long the verifier waits if its request does not say.
	Timeout func() time.Duration
}

// Answer answers one request within the verifier's timeout.
func (e *VerifierEndpoint) Answer(ctx context.Context, request socket.PullRequest) (socket.PullAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, e.timeout(request.Within))
	defer cancel()
	record := e.Gate.Decide(ctx, Request{Reference: request.Name, Target: digest.Digest(request.Digest)})
	return answer(record), nil
}

// timeout returns how long a decision may take, which is less than waits, the milliseconds that the verifier waits. On
// a busy node it takes time until the answer reaches the verifier; containerd may refuse the pull if it is late.
func (e *VerifierEndpoint) timeout(waits int64) time.Duration {
	timeout := e.Timeout()
	if waits > 0 && waits < timeout.Milliseconds() {
		timeout = time.Duration(waits) * time.Millisecond
	}
	return timeout - min(timeout/4, time.Second)
}

// Refusal returns what the kubelet is told of a refused pull, or "" if the pull is not refused.
func Refusal(pull audit.Pull) string {
	switch {
	case pull.Outcome == policy.Admit:
		return ""
	case pull.Namespace != "":
		return nri.RefusalText(pull.Name, pull.Namespace, pull.Verdict)
	default:
		return socket.Refusal(pull.Name, refusal(pull.Verdict), string(pull.Verdict.Reason))
	}
}

// answer describes a decision to the client that pulls.
func answer(pull audit.Pull) socket.PullAnswer {
	if refusal := Refusal(pull); refusal != "" {
		return socket.PullAnswer{Decision: socket.Refuse, Message: refusal}
	}
	sentence := "allowed: not determined yet; the policy is enforced when a container is created"
	switch {
	case pull.Verdict.Admitted():
		sentence = "allowed: a policy on this node admits it"
	case pull.WouldDeny():
		sentence = "allowed: in audit mode; if everything were enforced, no policy on this node would admit it"
	}
	return socket.PullAnswer{
		Decision: socket.Admit, Message: socket.Admission(pull.Name, sentence, string(pull.Verdict.Reason)),
	}
}

// refusal describes why a pull is refused. Everybody who may see the pod reads it, so it contains nothing that the
// author of the pod did not write.
func refusal(verdict policy.Verdict) string {
	const none = "no policy on this node admits it"
	switch {
	case verdict.RejectsAll():
		return none
	case verdict.NoIdentity:
		return none + ": it has a valid signature, which names no repository; sign with " +
			"cosign sign -a docker-reference=REPOSITORY"
	case verdict.Reason == policy.Unsigned:
		return none + ": a signature is required and none was found"
	default:
		return none + ": a signature is required and none of those found satisfies it"
	}
}
