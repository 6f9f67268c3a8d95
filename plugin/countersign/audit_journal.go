package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/countersign/countersign/plugin/supervisor"
	"github.com/countersign/countersign/policy/text"
)

// searchedEntries is how many entries of the journal are searched at most: journalctl takes some seconds for so many.
const searchedEntries = 100_000

// journalLog is the journal of a systemd unit.
func journalLog(place auditPlace) auditLog {
	return auditLog{
		name: "the journal of " + place.unit,
		read: func(ctx context.Context, since time.Time, line lineFunc) error {
			return readJournal(ctx, journalArguments(place, since), line)
		},
		// journalctl takes as long to look for a text as to print everything.
		search: func(ctx context.Context, _ string, line lineFunc) error {
			newest := []string{"--reverse", "--lines=" + strconv.Itoa(searchedEntries)}
			return readJournal(ctx, append(newest, journalArguments(place, time.Time{})...), line)
		},
	}
}

// journalArguments selects what the processes of the unit have written; --unit would add what systemd says about it.
// Without --all, journalctl omits long messages.
func journalArguments(place auditPlace, since time.Time) []string {
	arguments := []string{"--output=json", "--output-fields=MESSAGE", "--all", "--no-pager", "--quiet"}
	switch {
	case !since.IsZero():
		// A record is written after its request arrived.
		arguments = append(arguments, fmt.Sprintf("--since=@%d", since.Unix()), "--lines=all")
	case place.follow:
		arguments = append(arguments, "--lines=0")
	}
	if place.follow {
		arguments = append(arguments, "--follow")
	}
	arguments = append(arguments, "_SYSTEMD_UNIT="+place.unit)
	if place.unit == daemonUnit {
		// A daemon that containerd starts has no unit of its own. No other user than root can claim to be it.
		arguments = append(arguments, "+", "SYSLOG_IDENTIFIER="+supervisor.Identifier, "_UID=0")
	}
	return arguments
}

// readJournal runs journalctl, and calls line for each message.
func readJournal(ctx context.Context, arguments []string, line lineFunc) error {
	var problem bytes.Buffer
	command := exec.CommandContext(ctx, "journalctl", arguments...)
	command.Stderr = &problem
	output, err := command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	if err := command.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return errors.New("reading the journal: there is no journalctl here; name a file of audit records")
		}
		return fmt.Errorf("reading the journal: %w", err)
	}
	read := readLines(output, func(entry []byte) error { return journalMessage(entry, line) })
	if read != nil {
		// Nobody reads what journalctl writes from now on.
		_ = command.Process.Kill()
		_ = command.Wait()
		return read
	}
	if err := command.Wait(); err != nil {
		return fmt.Errorf("reading the journal: journalctl: %w: %s", err, text.OneLine(problem.String()))
	}
	return nil
}

// journalMessage passes on the message of an entry of the journal. journalctl writes a message as a string, or, if it
// is not UTF-8, as an array of bytes, which no record is.
func journalMessage(entry []byte, line lineFunc) error {
	var fields struct {
		Message any `json:"MESSAGE"`
	}
	if err := json.Unmarshal(entry, &fields); err != nil {
		return fmt.Errorf("reading the journal: an entry is not JSON: %w", err)
	}
	message, ok := fields.Message.(string)
	if !ok {
		return nil
	}
	return line([]byte(message))
}
