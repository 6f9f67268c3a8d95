package main

import (
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// answerOf says it to whoever pulls.
func answerOf(pull audit.Pull) socket.PullAnswer {
	reason := string(pull.Verdict.Reason)
	if pull.Outcome != policy.Admit {
		return socket.PullAnswer{
			Decision: socket.Refuse, Message: socket.Refusal(pull.Name, refusalSentence(pull.Verdict), reason),
		}
	}
	sentence := "let in, for it could not be decided yet; a container is decided on when it is created"
	switch {
	case pull.Verdict.Admitted():
		sentence = "let in, for a policy on this node admits it"
	case pull.WouldDeny():
		sentence = "let in, for a namespace on this node is in audit mode; no policy admits it"
	}
	return socket.PullAnswer{Decision: socket.Admit, Message: socket.Admission(pull.Name, sentence, reason)}
}

// refusalSentence is read by those who may see the pod, and names nothing that its author did not write.
func refusalSentence(verdict policy.Verdict) string {
	const none = "no policy on this node admits it"
	switch {
	case verdict.RejectsAll():
		return none
	case verdict.Nameless:
		return none + ": a valid signature is there, but it names no repository; sign with " +
			"cosign sign -a docker-reference=REPOSITORY"
	case verdict.Reason == policy.Unsigned:
		return none + ": a signature is asked for and none was found"
	default:
		return none + ": a signature is asked for and none of those found satisfies it"
	}
}
