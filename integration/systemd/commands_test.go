package systemd_test

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/countersign/countersign/docs/commands"
	"github.com/countersign/countersign/integration/rig"
)

// documented is a command line of the documentation, and what it does on a machine.
type documented struct {
	line string
	// with replaces the placeholders of the line: old, new, old, new, ….
	with []string
	// before is a command that makes what the page assumes, and after one that succeeds soon.
	before, after string
	// status is the exit status, and says is in the output.
	status int
	says   []string
	// follows is called while the line runs, and makes it print says. The line follows a log until it is killed.
	follows func(*testing.T, *site)
}

// phase is a list of command lines that run in this order, after the machine was prepared for them.
type phase struct {
	name    string
	prepare func(*testing.T, *site)
	lines   []documented
}

// TestDocumentedCommands runs the command lines in the pages as an operator does, on one machine, or knows why not.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ran := map[string]bool{}
	for _, phase := range phases() {
		if phase.prepare != nil {
			phase.prepare(t, s)
		}
		for _, one := range phase.lines {
			ran[one.line] = true
			t.Run(phase.name+"/"+one.line, func(t *testing.T) { s.does(t, one) })
		}
	}
	known := map[string]bool{}
	for _, page := range rig.Must(commands.Pages("../.."))(t) {
		for _, line := range page.Lines() {
			known[line] = true
			if reason := runElsewhere()[line]; ran[line] == (reason != "") {
				t.Errorf("%s: %s: it ran: %t, and why not is %q", page.Name, line, ran[line], reason)
			}
		}
	}
	for line := range runElsewhere() {
		ran[line] = true
	}
	for line := range ran {
		if !known[line] {
			t.Errorf("no page has the line %s", line)
		}
	}
}

func phases() []phase {
	return slices.Concat(signing(), installing(), operating(), removing(), byHand())
}

// does runs a line, and requires what is known about it.
func (s *site) does(t *testing.T, one documented) {
	t.Helper()
	if one.before != "" {
		s.shell(t, one.before)
	}
	line := strings.NewReplacer(append([]string{"sha256:…", s.digest, "sudo ", ""}, one.with...)...).Replace(one.line)
	if one.follows != nil {
		s.follow(t, line, one)
		return
	}
	output, err := s.command(t, line).CombinedOutput()
	status := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		status, err = exit.ExitCode(), nil
	}
	rig.OK(t, err)
	if status != one.status || !says(string(output), one.says...) {
		t.Errorf("%s\nexit status %d, want %d, and %q in\n%s", line, status, one.status, one.says, output)
	}
	if one.after == "" {
		return
	}
	rig.Eventually(t, "success of "+one.after, func() error {
		output, err := s.command(t, one.after).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
		return nil
	})
}

// follow runs a line in the background until it has said what it should.
func (s *site) follow(t *testing.T, line string, one documented) {
	t.Helper()
	s.shell(t, "rm -f followed; "+line+" >followed 2>&1 & echo $! >follower")
	defer s.shell(t, "kill $(cat follower)")
	rig.Eventually(t, "what "+line+" says", func() error {
		one.follows(t, s)
		if text := s.shell(t, "cat followed"); !says(text, one.says...) {
			return fmt.Errorf("it says %s", text)
		}
		return nil
	})
}

// command returns a shell that runs a command in the directory of the operator.
func (s *site) command(t *testing.T, line string) *exec.Cmd {
	t.Helper()
	return s.Command(t.Context(), "env", "HOME=/root", "COSIGN_PASSWORD=", "REPOSITORY="+repository, "TAG=v1",
		"DIGEST="+s.digest, "bash", "-o", "pipefail", "-c", "cd "+workplace+" && "+line)
}

// shell runs a command that must succeed.
func (s *site) shell(t *testing.T, line string) string {
	t.Helper()
	output, err := s.command(t, line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, output)
	}
	return string(output)
}
