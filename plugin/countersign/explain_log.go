package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/countersign/countersign/plugin/daemon"
)

const (
	// unit is the systemd unit of the daemon.
	unit = "countersign.service"
	// maxLogged limits the decisions about one subject that are shown, and maxLine the length of a record.
	maxLogged = 10
	maxLine   = 1 << 20
	// journalTimeout limits how long the journal is read, and journalLines how many records, the newest first.
	journalTimeout = 20 * time.Second
	journalLines   = "100000"
)

// loggedDecisions returns the last decisions about a subject in a file of audit records or, without a file, in the
// journal, the newest first. It also returns where they are from.
func loggedDecisions(ctx context.Context, file string, about daemon.Subject) (
	found []daemon.PastDecision, from string, err error,
) {
	if file != "" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, "", fmt.Errorf("reading the audit log: %w", err)
		}
		defer opened.Close()
		found, err = decisionsIn(opened, about)
		return found, "the audit log " + file, err
	}
	from = "the journal of " + unit
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "journalctl", "--unit", unit, "--output", "json", "--output-fields", "MESSAGE",
		"--all", "--no-pager", "--quiet", "--lines", journalLines)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, from, fmt.Errorf("reading %s: %w", from, err)
	}
	if err := command.Start(); err != nil {
		return nil, from, fmt.Errorf("reading %s (use --audit-log for a file): %w", from, err)
	}
	found, err = decisionsIn(output, about)
	if ended := command.Wait(); ended != nil && err == nil {
		err = fmt.Errorf("reading %s: %w: %s", from, ended, bytes.TrimSpace(stderr.Bytes()))
	}
	return found, from, err
}

// decisionsIn reads lines with records, of the daemon or of the journal. It skips what is not a decision.
func decisionsIn(log io.Reader, about daemon.Subject) (found []daemon.PastDecision, err error) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if past, ok := loggedDecision(lines.Bytes()); ok && about.Matches(past) {
			found = append(found, past)
			if len(found) > 2*maxLogged {
				found = append(found[:0], found[maxLogged:]...)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	daemon.NewestFirst(found)
	return found[:min(len(found), maxLogged)], nil
}

func loggedDecision(line []byte) (daemon.PastDecision, bool) {
	var record struct {
		// Message is the line that the daemon wrote, in a record of the journal.
		Message string `json:"MESSAGE"`
		Kind    string `json:"msg"`
		daemon.PastDecision
	}
	if json.Unmarshal(line, &record) != nil {
		return daemon.PastDecision{}, false
	}
	if record.Kind == "" && record.Message != "" && json.Unmarshal([]byte(record.Message), &record) != nil {
		return daemon.PastDecision{}, false
	}
	return record.PastDecision, record.Kind == "decision"
}
