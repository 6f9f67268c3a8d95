package doctor_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// lab is a node on which all is well.
type lab struct {
	*rig.Rig
	verifier string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	w := rig.NewWorkshop(t)
	l := &lab{Rig: w.NewRig(t, nil), verifier: w.Build(t, "./plugin/verifier/countersign-verifier")}
	pause := map[string]node.Requirement{"countersign.test/pause": node.Accept()}
	l.Write(t, "", node.Policy{Scopes: pause})
	l.Write(t, "prod", node.Policy{Scopes: pause})
	l.Daemon = l.PrepareDaemon(t, node.DaemonConfig{Settings: map[string]map[string]any{
		"cri_proxy": {"socket": nil},
	}})
	rig.OK(t, l.InstallVerifier(l.verifier, l.Daemon))
	l.Start(t)
	rig.Eventually(t, "all to be well", func() error {
		if found := l.doctor(t, "--no-canaries"); found.status != 0 {
			return errors.New(found.text())
		}
		return nil
	})
	return l
}

// answers is what doctor prints.
type answers struct {
	status int
	Checks []struct{ Check, Status, Cause, Remedy string }
}

func (a answers) of(check string) (status, cause, remedy string) {
	for _, found := range a.Checks {
		if found.Check == check {
			return found.Status, found.Cause, found.Remedy
		}
	}
	return "", "", ""
}

// text returns the answers that are not yes.
func (a answers) text() string {
	var lines []string
	for _, found := range a.Checks {
		if found.Status != "yes" {
			lines = append(lines, found.Check+": "+found.Status+": "+found.Cause)
		}
	}
	return strings.Join(lines, "\n")
}

// arguments returns the command line of doctor. The clock of a test machine may not be synchronised.
func (l *lab) arguments(more ...string) []string {
	return append([]string{
		"doctor", "--config", l.Daemon.ConfigFile(), "-o", "json", "--skip", "clock", "--timeout", "1m",
	}, more...)
}

func (l *lab) doctor(t *testing.T, more ...string) answers {
	t.Helper()
	command := exec.CommandContext(t.Context(), l.Program, l.arguments(more...)...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	found := answers{status: command.ProcessState.ExitCode()}
	if err := json.Unmarshal(output, &found); err != nil {
		t.Fatalf("doctor prints %q and %q: %v", output, stderr.String(), err)
	}
	return found
}

// well runs doctor until all is well.
func (l *lab) well(t *testing.T, more ...string) {
	t.Helper()
	rig.Eventually(t, "all to be well", func() error {
		if found := l.doctor(t, more...); found.status != 0 {
			return errors.New(found.text())
		}
		return nil
	})
}
