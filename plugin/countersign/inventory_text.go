package main

import (
	"fmt"
	"strings"

	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/text"
)

// mostNamespaces is how many namespaces a line of text lists.
const mostNamespaces = 8

func (i *takenInventory) text() string {
	if i.Compared {
		return i.changes()
	}
	var b strings.Builder
	for _, image := range i.Images {
		fmt.Fprintf(&b, "%s", image.Reference)
		if image.Running > 0 {
			fmt.Fprintf(&b, " (%d running)", image.Running)
		}
		b.WriteString("\n")
		for _, verdict := range image.Verdicts {
			fmt.Fprintf(&b, "  %s: %s\n", word(verdict.Outcome), text.List(verdict.Namespaces, mostNamespaces))
		}
	}
	for _, container := range i.Running {
		if !container.Allowed {
			fmt.Fprintf(&b, "runs, and is %s: %s in %s\n", word(container.Outcome), container.Reference, container.place())
		}
	}
	fmt.Fprintf(&b, "%d images, %d running containers, %d namespaces\n", len(i.Images), len(i.Running),
		len(i.Namespaces))
	return b.String()
}

// changes describes what differs by the other policies.
func (i *takenInventory) changes() string {
	var b strings.Builder
	running, cached := 0, 0
	for _, container := range i.Running {
		if differ(container.Outcome, *container.After) {
			running++
			fmt.Fprintf(&b, "running container would be %s, and is %s: %s in %s\n", word(*container.After),
				word(container.Outcome), container.Reference, container.place())
		}
	}
	for _, image := range i.Images {
		for _, verdict := range image.Verdicts {
			if differ(verdict.Outcome, *verdict.After) {
				cached += len(verdict.Namespaces)
				fmt.Fprintf(&b, "image would be %s, and is %s: %s in %s\n", word(*verdict.After), word(verdict.Outcome),
					image.Reference, text.List(verdict.Namespaces, mostNamespaces))
			}
		}
	}
	fmt.Fprintf(&b, "%d of %d running containers would have another verdict, and %d pairs of %d images and %d "+
		"namespaces; nothing was changed\n", running, len(i.Running), cached, len(i.Images), len(i.Namespaces))
	return b.String()
}

// differ reports whether two verdicts have another outcome: admitted, denied or unknown.
func differ(before, after daemon.Outcome) bool {
	return exitStatus(policy.Reason(before.Reason)) != exitStatus(policy.Reason(after.Reason))
}

func word(outcome daemon.Outcome) string {
	if outcome.WouldDeny != "" {
		return fmt.Sprintf("admitted, and a policy in audit mode would refuse it (%s)", outcome.WouldDeny)
	}
	return fmt.Sprintf("%s (%s)", outcomeWord(policy.Reason(outcome.Reason)), outcome.Reason)
}

func (r *inventoryRunner) place() string { return r.Namespace + "/" + r.Pod + "/" + r.Container }
