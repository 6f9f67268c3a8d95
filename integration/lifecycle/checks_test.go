package lifecycle_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

func (w *workshop) checks(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, node.DaemonConfig{})
	l.start(t)
	t.Run("about images on the node", l.checkNode)
	t.Run("about what skopeo wrote", l.checkDirectories)
	t.Run("again and again, after a refusal", l.lateSignature)
	t.Run("about what is kept", l.keptEvidence)
}

// answer is what check prints, as far as tests look at it.
type answer struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason"`
	Digest  string `json:"digest"`
}

// check runs the program's command with the configuration of the node's daemon.
func (l *lab) check(t *testing.T, arguments ...string) (status int, said answer) {
	t.Helper()
	arguments = append([]string{"check", "--config", l.daemon.ConfigFile(), "--output", "json"}, arguments...)
	command := exec.CommandContext(t.Context(), l.program, arguments...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if err := json.Unmarshal(output, &said); err != nil || stderr.Len() > 0 {
		t.Fatalf("check %s prints %s and %s: %v", arguments, output, stderr.String(), err)
	}
	return command.ProcessState.ExitCode(), said
}

// outcome is an exit status and a reason.
func outcome(status int, said answer) string { return fmt.Sprint(status, " ", said.Reason) }

func (l *lab) checkNode(t *testing.T) {
	signed, unsigned := l.signed(t, "check/signed:v1"), l.push(t, "check/unsigned:v1")
	index, instance := l.index(t, "check/index:v1")
	l.sign(t, index, false)
	unseen := l.signed(t, "check/unseen:v1")
	l.runs(t, strict, signed)
	l.refused(t, strict, unsigned, "unsigned")
	l.runs(t, strict, index)

	byDigest := signed
	byDigest.Reference = signed.ByDigest()
	l.pull(t, byDigest)
	// It would go on to ask for what someone waits for, and for what comes to the node.
	no(t, l.daemon.Terminate(t.Context()))
	l.pull(t, unseen)
	before := must(l.registry.Requests())(t)
	for name, test := range map[string]struct{ namespace, reference, want string }{
		"a signed image by tag":            {strict, signed.Reference, "0 accepted"},
		"a signed image by digest":         {strict, byDigest.Reference, "0 accepted"},
		"a signed image by ID":             {strict, signed.Config.String(), "0 accepted"},
		"a signed image by a prefix of it": {strict, signed.Config.String()[:len("sha256:")+12], "0 accepted"},
		"a signed index":                   {strict, index.Reference, "0 accepted"},
		"what this machine runs of it":     {strict, instance.Config.String(), "0 accepted"},
		"a namespace without a document":   {plain, signed.Reference, "0 accepted"},
		"an unsigned image by tag":         {strict, unsigned.Reference, "1 unsigned"},
		"an unsigned image by ID":          {strict, unsigned.Config.String(), "1 unsigned"},
		"an unsigned image by a prefix":    {strict, unsigned.Config.String()[:len("sha256:")+12], "1 unsigned"},
		"an unsigned image in a loose one": {loose, unsigned.Reference, "0 accepted"},
		"an image that nobody asked for":   {strict, unseen.Reference, "2 pending"},
		"it in a loose namespace":          {loose, unseen.Reference, "0 accepted"},
		"an image that is not here":        {strict, l.registry.Host + "/check/none:v1", "2 unavailable"},
		"an ID that is not here":           {strict, "sha256:" + strings.Repeat("0", 64), "2 unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := outcome(l.check(t, "--namespace", test.namespace, test.reference)); got != test.want {
				t.Errorf("it says %s; want %s", got, test.want)
			}
		})
	}
	if after := must(l.registry.Requests())(t); len(after) != len(before) {
		t.Errorf("check fetches: %v", after[len(before):])
	}
	l.start(t)
}
