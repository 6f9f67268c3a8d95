package rig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"testing"
)

// Answer is the output of the check command.
type Answer struct {
	Status int    `json:"-"` // The exit status.
	Reason string `json:"reason"`
}

// String is the exit status and the reason: "0 accepted".
func (a Answer) String() string { return fmt.Sprint(a.Status, " ", a.Reason) }

// Check runs the check command with the configuration of the rig's daemon. The command must print a verdict and no
// error.
func (r *Rig) Check(t testing.TB, arguments ...string) Answer {
	t.Helper()
	arguments = append([]string{"check", "--config", r.Daemon.ConfigFile(), "--output", "json"}, arguments...)
	command := exec.CommandContext(t.Context(), r.Program, arguments...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	answer := Answer{Status: command.ProcessState.ExitCode()}
	if err := json.Unmarshal(output, &answer); err != nil || stderr.Len() > 0 {
		t.Fatalf("check %s prints %s and %s: %v", arguments, output, stderr.String(), err)
	}
	return answer
}

// CheckOutput runs the check command like Check, and returns its output.
func (r *Rig) CheckOutput(t testing.TB, arguments ...string) string {
	t.Helper()
	arguments = append([]string{"check", "--config", r.Daemon.ConfigFile()}, arguments...)
	output, err := exec.CommandContext(t.Context(), r.Program, arguments...).Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(output)
}

// Evidence runs one of the "evidence" commands with the configuration of the rig's daemon, and returns its output. Its
// error output is in the error.
func (r *Rig) Evidence(t testing.TB, arguments ...string) (string, error) {
	t.Helper()
	arguments = append(append([]string{"evidence"}, arguments...), "--config", r.Daemon.ConfigFile())
	command := exec.CommandContext(t.Context(), r.Program, arguments...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("countersign %s: %w: %s", arguments, err, stderr.String())
	}
	return stdout.String(), nil
}
