package node

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// table is a table of a TOML file.
type table map[string]any

// at returns the table at a dotted path, and creates it if necessary.
func (t table) at(path string) table {
	for name := range strings.SplitSeq(path, ".") {
		next, ok := t[name].(table)
		if !ok {
			next = table{}
			t[name] = next
		}
		t = next
	}
	return t
}

// Decision has the keys of an audit record that tests read. Record has all keys.
type Decision struct {
	Outcome      string `json:"outcome"` // admit or deny.
	Reason       string `json:"reason"`
	Stage        string `json:"stage"`
	Namespace    string `json:"namespace"`
	Pod          string `json:"pod"`
	Container    string `json:"container"`
	Reference    string `json:"reference"`
	Digest       string `json:"digest"`
	ConfigDigest string `json:"config_digest"`
	Document     string `json:"document"`
	Scope        string `json:"scope"`
	Detail       string `json:"detail"`

	Record map[string]any `json:"-"`
}

// Log returns the records with a message in the daemon's log, or all records if the message is empty. It skips lines
// that are not JSON.
func (d *Daemon) Log(message string) ([]map[string]any, error) {
	var found []map[string]any
	err := d.records(message, func(_ []byte, record map[string]any) error {
		found = append(found, record)
		return nil
	})
	return found, err
}

// Decisions returns the decisions of the daemon so far, across restarts.
func (d *Daemon) Decisions() ([]Decision, error) {
	var found []Decision
	err := d.records("decision", func(line []byte, record map[string]any) error {
		decision := Decision{Record: record}
		found = append(found, decision)
		return json.Unmarshal(line, &found[len(found)-1])
	})
	return found, err
}

// WaitForDecision waits for a decision that satisfies a condition.
func (d *Daemon) WaitForDecision(ctx context.Context, matches func(Decision) bool) (Decision, error) {
	var found Decision
	err := until(ctx, "a decision", func(context.Context) error {
		decisions, err := d.Decisions()
		if err != nil {
			return stopAsking(err)
		}
		for _, decision := range decisions {
			if matches(decision) {
				found = decision
				return nil
			}
		}
		return fmt.Errorf("none of %d is the one", len(decisions))
	})
	return found, err
}

func (d *Daemon) records(message string, each func(line []byte, record map[string]any) error) error {
	file, err := os.Open(d.LogFile())
	if err != nil {
		return fmt.Errorf("reading the log of countersign: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var record map[string]any
		if json.Unmarshal(lines.Bytes(), &record) != nil || record == nil {
			continue
		}
		if message != "" && record["msg"] != message {
			continue
		}
		if err := each(lines.Bytes(), record); err != nil {
			return fmt.Errorf("reading the log of countersign: %w", err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading the log of countersign: %w", err)
	}
	return nil
}

// Metrics returns the text of /metrics.
func (d *Daemon) Metrics(ctx context.Context) (string, error) { return d.get(ctx, "/metrics") }

// Health returns /healthz in JSON. The error has it too unless the daemon is healthy.
func (d *Daemon) Health(ctx context.Context) (string, error) {
	return d.get(ctx, "/healthz?format=json")
}

// Readiness returns the text of /readyz. The error has it too unless the daemon is ready.
func (d *Daemon) Readiness(ctx context.Context) (string, error) { return d.get(ctx, "/readyz") }

// Metric returns the value of one series, by its name with the labels as in /metrics. A missing series is an error.
func (d *Daemon) Metric(ctx context.Context, series string) (float64, error) {
	text, err := d.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, fmt.Errorf("there is no series %s", series)
}
