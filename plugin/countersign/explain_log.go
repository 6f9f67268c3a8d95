package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
	// maxMore limits the lines that are read after the newest decision about a subject was found.
	maxMore = 1000
	// logTimeout limits how long explain reads an audit log.
	logTimeout = 20 * time.Second
)

// loggedDecisions returns the last decisions about a subject in an audit log, the newest first.
func loggedDecisions(ctx context.Context, log auditLog, about daemon.Subject) ([]daemon.PastDecision, error) {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	found := newestDecisions{about: about}
	var err error
	if log.search != nil {
		err = found.search(ctx, log)
	} else {
		filter := audit.Filter{Namespace: about.Namespace, Mention: mentionOf(about)}
		err = log.records(ctx, filter, func(entry audit.Entry) error { found.add(entry); return ctx.Err() })
	}
	if ctx.Err() != nil && len(found.list) == 0 {
		return nil, fmt.Errorf("reading %s: %w", log.name, ctx.Err())
	}
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	return found.newest(), nil
}

// newestDecisions collects the last decisions about a subject, in whatever order they are found. Records are not quite
// in the order of their times, so it collects more than are shown.
type newestDecisions struct {
	about daemon.Subject
	list  []daemon.PastDecision
}

func (n *newestDecisions) add(entry audit.Entry) {
	past := daemon.PastDecision{}
	if entry.Message != audit.DecisionMessage || json.Unmarshal(entry.Line, &past) != nil || !n.about.Matches(past) {
		return
	}
	n.list = append(n.list, past)
	if len(n.list) > 2*maxLogged {
		n.list = n.newest()
	}
}

func (n *newestDecisions) newest() []daemon.PastDecision {
	daemon.NewestFirst(n.list)
	return n.list[:min(len(n.list), maxLogged)]
}

// search reads a log from its end, until there are enough decisions. After the newest one, it reads only some lines
// more, because the journal is slow: a pod's decisions are close together, as the kubelet repeats its attempts.
func (n *newestDecisions) search(ctx context.Context, log auditLog) error {
	mention, more := mentionOf(n.about), 0
	err := log.search(ctx, mention, func(line []byte) error {
		if bytes.Contains(line, []byte(mention)) {
			if entry, isRecord := audit.Parse(line); isRecord {
				n.add(entry)
			}
		}
		if len(n.list) > 0 {
			more++
		}
		if len(n.list) >= 2*maxLogged || more > maxMore {
			return errEnough
		}
		return ctx.Err()
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if len(n.list) > 0 {
		return nil
	}
	return log.readable(ctx)
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
