package nri

import (
	"fmt"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// maxSubject limits the part of a message that a pod's author chose, so that the message stays under 300 characters.
const maxSubject = 100

// Message is what the pod's author reads in the pod's events. They are public in the namespace, so a message names only
// what its authors wrote themselves: no other namespace, no other reference, no key, no path on the node. It
// ends with the reason in parentheses, so that scripts can tell (pending), which is temporary, from (rejected).
func Message(report Report) string {
	subject := report.Reference
	if report.Volume != "" {
		const of = "image volume at "
		subject = of + text.Abbreviate(report.Volume, maxSubject-len(of))
	}
	if report.Stage == Start && report.Verdict.Reason == policy.UnknownOrigin {
		return refusal(subject, "the image that would run is not the one that was validated", policy.UnknownOrigin)
	}
	return RefusalText(subject, report.Namespace, report.Verdict)
}

// RefusalText returns the text of a refusal for the author of a pod of a namespace: at most 300 characters, equal for
// equal refusals. The kubelet shows the reason SignatureValidationFailed of a pull if the text begins with it
// (k8s.io/cri-api, pkg/errors).
func RefusalText(subject, namespace string, verdict policy.Verdict) string {
	return refusal(subject, sentence(namespace, verdict), verdict.Reason)
}

func refusal(subject, sentence string, reason policy.Reason) string {
	return fmt.Sprintf("SignatureValidationFailed: %s: %s (%s)", text.Abbreviate(subject, maxSubject), sentence, reason)
}

func sentence(namespace string, verdict policy.Verdict) string {
	ours := fmt.Sprintf("the policy of namespace %q", text.Abbreviate(namespace, 63))
	switch verdict.Reason {
	case policy.Rejected:
		if verdict.RejectsAll() {
			return ours + " does not allow it"
		}
		if verdict.NoIdentity {
			return "a valid signature is there, but it names no repository: sign with cosign sign " +
				`-a docker-reference=REPOSITORY, or have [bundles] identity = "digest" set`
		}
		return ours + " requires a signature and none of those found satisfies it"
	case policy.Unsigned:
		return ours + " requires a signature and none was found"
	case policy.Pending:
		return "decision pending; it will be retried automatically"
	case policy.Unavailable:
		if verdict.Requirement == "" {
			return "the image could not be examined; retried automatically"
		}
		return "signatures required by " + ours + " could not be fetched; retried automatically"
	case policy.InvalidPolicy:
		return ours + " cannot be used; the node's operator finds the cause in the log"
	case policy.UnknownOrigin:
		return "the image that would run was not pulled to this node under this reference"
	case policy.BadRequest:
		return "the image reference cannot be checked"
	default:
		return "an error inside countersign; the node's operator finds the cause in the log"
	}
}
