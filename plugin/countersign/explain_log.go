package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/audit"
)

const (
	// daemonUnit is the systemd unit of the daemon.
	daemonUnit = "countersign.service"
	// maxLogged limits the decisions about one subject that are shown.
	maxLogged = 10
	// logTimeout limits how long explain reads an audit log, and logEntries how many entries of the journal.
	logTimeout = 20 * time.Second
	logEntries = 100_000
)

// loggedDecisions returns the last decisions about a subject in an audit log, the newest first.
func loggedDecisions(ctx context.Context, log auditLog, about daemon.Subject) (found []daemon.PastDecision, err error) {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	filter := audit.Filter{Namespace: about.Namespace, Mention: mentionOf(about)}
	err = log.records(ctx, filter, func(entry audit.Entry) error {
		past := daemon.PastDecision{}
		if entry.Message != audit.DecisionMessage || json.Unmarshal(entry.Line, &past) != nil {
			return ctx.Err()
		}
		if about.Matches(past) {
			found = append(found, past)
		}
		if len(found) > 2*maxLogged {
			found = append(found[:0], found[maxLogged:]...)
		}
		return ctx.Err()
	})
	if ctx.Err() != nil {
		return nil, fmt.Errorf("reading %s: %w", log.name, ctx.Err())
	}
	if err != nil {
		return nil, err
	}
	daemon.NewestFirst(found)
	return found[:min(len(found), maxLogged)], nil
}

// mentionOf returns JSON that is in each record about a subject, or "" if JSON may escape its name: the whole name of a
// pod, because other pods have names that contain it, or the beginning of a container's ID.
func mentionOf(about daemon.Subject) string {
	if strings.Trim(about.ContainerID+about.Pod, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		return ""
	}
	if about.ContainerID != "" {
		return `"` + about.ContainerID
	}
	return `"` + about.Pod + `"`
}
