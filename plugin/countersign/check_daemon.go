package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// usesDaemon reports whether check also asks the daemon: its verdict covers this node's images and the configured
// policies only.
func (f checkFlags) usesDaemon() bool {
	return f.image == "containerd" && !f.given()
}

// daemonReport is what check reports about the daemon.
type daemonReport struct {
	// Answers reports whether the daemon answers; if it does not, Problem is the cause.
	Answers bool   `json:"answers"`
	Problem string `json:"problem,omitempty"`
	*daemon.Verdict
}

// askDaemon requests the daemon's verdict on an image on this node. The answer is nil if the daemon does not answer.
func askDaemon(
	ctx context.Context, config *conf.Config, question policy.Question,
) (daemonReport, *daemon.CheckAnswer) {
	answer, err := daemon.Check(ctx, socket.NewClient(config.Listen.Socket), daemon.CheckRequest{
		Namespace: question.Namespace, Reference: question.Reference, Config: question.Config,
	})
	switch {
	case err == nil:
		return daemonReport{Answers: true, Verdict: &answer.Verdict}, &answer
	case errors.Is(err, fs.ErrPermission):
		return daemonReport{Problem: fmt.Sprintf("%v: only root may use its socket", err)}, nil
	default:
		return daemonReport{Problem: err.Error()}, nil
	}
}
