package socket

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PullEndpoint is the endpoint that containerd's image verifier calls for each pull, with a [PullRequest].
const PullEndpoint = "/v1/pull"

// PullRequest asks whether an image may be pulled.
type PullRequest struct {
	// Name is the reference as containerd resolved it, normalised.
	Name string `json:"name"`
	// Digest, MediaType and Size are those of the manifest or index that the reference resolves to.
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
	// Within is how long the client waits for the answer, in milliseconds.
	Within int64 `json:"within"`
}

// Decision is whether a pull is allowed. Every value other than the two below, including the zero value, is invalid.
type Decision string

// The two decisions.
const (
	Admit  Decision = "admit"
	Refuse Decision = "refuse"
)

// PullAnswer is the decision about a pull.
type PullAnswer struct {
	Decision Decision `json:"decision"`
	// Message is one line of fewer than 300 characters for the client of the pull.
	Message string `json:"message"`
}

// maxMessage limits the characters of a message.
const maxMessage = 300

// Check returns an error if the answer is invalid.
func (a PullAnswer) Check() error {
	if a.Decision != Admit && a.Decision != Refuse {
		return fmt.Errorf("the daemon's decision is not %s or %s, but %q", Admit, Refuse, a.Decision)
	}
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.ContainsFunc(a.Message, unprintable) || utf8.RuneCountInString(a.Message) >= maxMessage {
		return fmt.Errorf("the daemon's message is not one line of fewer than %d characters", maxMessage)
	}
	if a.Decision == Refuse && !strings.HasPrefix(a.Message, refusal) {
		return fmt.Errorf("the daemon's refusal does not begin with %s", refusal)
	}
	return nil
}
