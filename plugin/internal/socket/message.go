package socket

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds the part of a message that others chose, so that all of it stays under 300 characters.
const maxName = 100

// refusal is how a refusal begins.
const refusal = "SignatureValidationFailed:"

// Refusal returns what is said of a pull that is refused, to whoever looks at the pod: the sentence names no other
// namespace, no key and no path. It begins with the word for it in Kubernetes (k8s.io/cri-api, pkg/errors), and ends
// with the reason, so that scripts can tell one from another.
func Refusal(name, sentence, reason string) string {
	return fmt.Sprintf("%s %s: %s (%s)", refusal, shorten(name), sentence, reason)
}

// Admission returns what is said of a pull that goes on. Nobody reads it but whoever reads containerd's log.
func Admission(name, sentence, reason string) string {
	return fmt.Sprintf("%s: %s (%s)", shorten(name), sentence, reason)
}

// shorten cuts the middle out of a long name, and replaces what does not print.
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
