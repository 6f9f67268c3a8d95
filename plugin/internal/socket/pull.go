package socket

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// PullEndpoint is where containerd's image verifier asks about each pull, with a [PullRequest].
const PullEndpoint = "/v1/pull"

// PullRequest asks whether an image may be pulled.
type PullRequest struct {
	// Name is the reference as containerd resolved it, normalised.
	Name string `json:"name"`
	// Digest, MediaType and Size are those of the manifest or index that the reference leads to.
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
	// Within is how long the answer is waited for, in milliseconds.
	Within int64 `json:"within"`
}

// Decision is what becomes of a pull. Anything but the two below, the zero Decision too, is no answer.
type Decision string

// The two decisions.
const (
	Admit  Decision = "admit"
	Refuse Decision = "refuse"
)

// PullAnswer says what becomes of a pull.
type PullAnswer struct {
	Decision Decision `json:"decision"`
	// Message is one line for whoever pulls, and less than 300 characters.
	Message string `json:"message"`
}

// maxMessage is how many characters a message of an answer may have.
const maxMessage = 300

// Check returns why it is no answer of countersign's, or nil.
func (a PullAnswer) Check() error {
	if a.Decision != Admit && a.Decision != Refuse {
		return fmt.Errorf("the daemon answers with neither %s nor %s, but with %q", Admit, Refuse, a.Decision)
	}
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if strings.ContainsFunc(a.Message, unprintable) || utf8.RuneCountInString(a.Message) >= maxMessage {
		return fmt.Errorf("the daemon answers with more than one line of fewer than %d characters", maxMessage)
	}
	if a.Decision == Refuse && !strings.HasPrefix(a.Message, refusal) {
		return fmt.Errorf("the daemon refuses with a message that does not begin with %s", refusal)
	}
	return nil
}
