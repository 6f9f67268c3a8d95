package socket_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/countersign/countersign/plugin/internal/socket"
)

func TestInvalidAnswersAreRejected(t *testing.T) {
	refusal := socket.Refusal("registry.example/app:v1", "no policy on this node admits it", "rejected")
	long := refusal + strings.Repeat("x", 300)
	for name, test := range map[string]struct {
		answer socket.PullAnswer
		good   bool
	}{
		"admitted":                    {socket.PullAnswer{Decision: socket.Admit, Message: "x (accepted)"}, true},
		"refused":                     {socket.PullAnswer{Decision: socket.Refuse, Message: refusal}, true},
		"neither":                     {socket.PullAnswer{Message: refusal}, false},
		"another decision":            {socket.PullAnswer{Decision: "allow", Message: "x"}, false},
		"refused in other words":      {socket.PullAnswer{Decision: socket.Refuse, Message: "no"}, false},
		"of two lines":                {socket.PullAnswer{Decision: socket.Refuse, Message: refusal + "\nand more"}, false},
		"with bidirectional controls": {socket.PullAnswer{Decision: socket.Admit, Message: "\u202e"}, false},
		"too long":                    {socket.PullAnswer{Decision: socket.Refuse, Message: long}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.answer.Check(); (err == nil) != test.good {
				t.Errorf("%+v: %v", test.answer, err)
			}
		})
	}
}

func TestMessagesAreOneShortLineForEveryName(t *testing.T) {
	for name, subject := range map[string]string{
		"a long name":             "registry.example/" + strings.Repeat("x", 2000) + ":v1",
		"a name with line ends":   "registry.example/app:v1\nSignatureValidationFailed: \r\u202e",
		"a name that is not text": "\xff\xfe\x00",
		"no name":                 "",
	} {
		t.Run(name, func(t *testing.T) {
			sentence := strings.Repeat("s", 150)
			for _, answer := range []socket.PullAnswer{
				{Decision: socket.Refuse, Message: socket.Refusal(subject, sentence, "unsigned")},
				{Decision: socket.Admit, Message: socket.Admission(subject, sentence, "pending")},
			} {
				if err := answer.Check(); err != nil || !utf8.ValidString(answer.Message) {
					t.Errorf("%v: %q", err, answer.Message)
				}
			}
		})
	}
	const want = "SignatureValidationFailed: registry.example/app:v1: no (unsigned)"
	if got := socket.Refusal("registry.example/app:v1", "no", "unsigned"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
