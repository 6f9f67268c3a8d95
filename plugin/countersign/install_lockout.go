package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/cri"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy/text"
)

// lockoutTimeout limits the check before enforcing.
const lockoutTimeout = 2 * time.Minute

// sandboxTimeout limits how long the daemon may take to evaluate the sandbox image.
const sandboxTimeout = 15 * time.Second

// checkLockout returns an error if enforcing would refuse what the node needs to run. It prints what would be refused.
func (t *target) checkLockout(ctx context.Context) error {
	const advice = "add them to the policy, or use --allow-self-lockout"
	if !t.live {
		return errors.New("what enforcing would refuse can only be checked on the running host: install in audit mode, or " +
			"use --allow-self-lockout")
	}
	ctx, cancel := context.WithTimeout(ctx, lockoutTimeout)
	defer cancel()
	refused, err := wouldRefuse(ctx)
	if err != nil {
		return fmt.Errorf("checking what enforcing would refuse: %w; --allow-self-lockout enforces without this check", err)
	}
	if len(refused) == 0 {
		return nil
	}
	for _, line := range refused {
		fmt.Fprintf(t.stdout, "would be refused: %s\n", line)
	}
	fmt.Fprintf(t.stdout, "not enforced: the node needs these images; %s\n", advice)
	return &exitError{exitDenied}
}

// wouldRefuse returns what the node needs and the daemon would refuse, one line each: containers that run in
// kube-system or are countersign's own, and the sandbox image.
func wouldRefuse(ctx context.Context) ([]string, error) {
	config, err := conf.Read("")
	if err != nil {
		return nil, err
	}
	client := socket.NewClient(config.Listen.Socket)
	// A daemon that has just started has not evaluated the sandbox image yet.
	waiting, cancel := context.WithTimeout(ctx, sandboxTimeout)
	defer cancel()
	status, err := awaitStatus(waiting, client, func(status daemon.Status) bool {
		return status.Check("sandbox_image").Status != "unknown"
	})
	if err != nil {
		return nil, err
	}
	var refused []string
	if sandbox := status.Check("sandbox_image"); sandbox.Status != "yes" {
		refused = append(refused, "the sandbox image, which every pod needs: "+sandbox.Cause)
	}
	connection, err := cri.Connect(config.Containerd.Address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	containers, err := needed(ctx, connection)
	if err != nil {
		return nil, err
	}
	seen := map[daemon.CheckRequest]bool{}
	for _, container := range containers {
		request := daemon.CheckRequest{
			Namespace: container.Namespace, Reference: container.Reference, Config: digest.Digest(container.Config),
		}
		if seen[request] {
			continue
		}
		seen[request] = true
		answer, err := daemon.Check(ctx, client, request)
		if err != nil {
			return nil, err
		}
		if !answer.Allowed {
			line := fmt.Sprintf("%s/%s: %s: %s (%s)", request.Namespace, container.Pod, request.Reference, answer.Detail,
				answer.Reason)
			refused = append(refused, text.OneLine(line))
		}
	}
	return refused, nil
}

// needed returns the running containers without which the node or countersign does not work.
func needed(ctx context.Context, connection *cri.Client) ([]cri.Container, error) {
	running, err := connection.Running(ctx)
	return slices.DeleteFunc(running, func(container cri.Container) bool {
		return container.Namespace != "kube-system" && !strings.HasPrefix(container.App, "countersign")
	}), err
}
