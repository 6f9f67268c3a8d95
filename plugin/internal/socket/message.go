package socket

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
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
	return fmt.Sprintf("%s %s: %s (%s)", refusal, shorten(name), sentence, reason)
}

// Admission returns the message of an allowed pull. Only containerd's log contains it.
func Admission(name, sentence, reason string) string {
	return fmt.Sprintf("%s: %s (%s)", shorten(name), sentence, reason)
}

// shorten replaces the middle of a long name by an ellipsis, and characters that do not print.
func shorten(name string) string {
	if name == "" {
		return "an image without a name"
	}
	runes := []rune(strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, name))
	if len(runes) <= maxName {
		return string(runes)
	}
	return string(runes[:maxName/2]) + "…" + string(runes[len(runes)-maxName/2+1:])
}
