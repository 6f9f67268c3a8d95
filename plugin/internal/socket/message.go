package socket

import (
	"fmt"

	"github.com/countersign/countersign/policy/text"
)

// maxName limits the part of a message that comes from the request, so that the whole message has fewer than 300
// characters.
const maxName = 100

// refusal is the prefix of refusals.
const refusal = "SignatureValidationFailed:"

// Refusal returns the message of a refused pull, which everybody reads who may see the pod: the sentence must not
// contain other namespaces, keys or paths. It begins with the error code of Kubernetes (k8s.io/cri-api, pkg/errors),
// and ends with the reason, for scripts.
func Refusal(name, sentence, reason string) string {
	return fmt.Sprintf("%s %s: %s (%s)", refusal, abbreviate(name), sentence, reason)
}

// Admission returns the message of an allowed pull. Only containerd's log contains it.
func Admission(name, sentence, reason string) string {
	return fmt.Sprintf("%s: %s (%s)", abbreviate(name), sentence, reason)
}

func abbreviate(name string) string {
	if name == "" {
		return "an image without a name"
	}
	return text.Abbreviate(name, maxName)
}
