package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// checkEndpoint is where check asks the daemon for its own verdict.
const checkEndpoint = "/v1/check"

// checkWithin bounds how long the daemon may take for one, checkEvery is how often it looks again at one that is
// pending meanwhile, and maxChecks how many are answered at a time: a person asks, and containers do not wait for it.
const (
	checkWithin = 5 * time.Second
	checkEvery  = 200 * time.Millisecond
	maxChecks   = 2
)

// checkRequest asks what the daemon would say to containerd about a container.
type checkRequest struct {
	Namespace string        `json:"namespace"`
	Reference string        `json:"reference"`
	Config    digest.Digest `json:"config"`
}

// checkAnswer is the daemon's verdict, and the mode that it has in force for the namespace.
type checkAnswer struct {
	verdictJSON
	Mode   string `json:"mode"`
	Advice string `json:"advice"`
}

// checks answers check from the memory of the daemon.
type checks struct {
	decide func(context.Context, policy.Question) policy.Verdict
	advise func(policy.Verdict) string
	mode   func(namespace string) string
	slots  chan struct{}
}

func newChecks(decider *policy.Decider, live *live) *checks {
	return &checks{
		decide: decider.Decide,
		advise: decider.Advice,
		mode:   func(namespace string) string { return live.config().Mode(namespace).String() },
		slots:  make(chan struct{}, maxChecks),
	}
}

// answer is an endpoint of the daemon's socket. What is pending is looked at again for as long as there is time, as the
// kubelet would ask again.
func (c *checks) answer(ctx context.Context, request checkRequest) (checkAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return checkAnswer{}, errors.New("too many others are asking")
	}
	question := policy.Question{Namespace: request.Namespace, Reference: request.Reference, Config: request.Config}
	verdict := c.decide(ctx, question)
	for verdict.Reason == policy.Pending && ctx.Err() == nil {
		pause(ctx, checkEvery)
		// Without time left, what is decided is about that and not about the image.
		if next := c.decide(ctx, question); ctx.Err() == nil {
			verdict = next
		}
	}
	return checkAnswer{verdictJSONOf(verdict), c.mode(request.Namespace), c.advise(verdict)}, nil
}

// ofDaemon says whether the daemon is to be asked: its verdict is about this node, and about the policies that it is
// configured with.
func (f checkFlags) ofDaemon() bool {
	return f.image == "containerd" && f.systemPolicy == "" && f.policyDir == ""
}

// daemonAnswer is what check reports of the daemon.
type daemonAnswer struct {
	// Answers says whether it answers, and Problem why it does not.
	Answers bool   `json:"answers"`
	Problem string `json:"problem,omitempty"`
	*verdictJSON
}

// askDaemon asks the daemon about an image on this node.
func askDaemon(ctx context.Context, config *conf.Config, question policy.Question) (daemonAnswer, *checkAnswer) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin+time.Second)
	defer cancel()
	answer, err := socket.Call[checkAnswer](ctx, socket.NewClient(config.Listen.Socket), checkEndpoint, checkRequest{
		Namespace: question.Namespace, Reference: question.Reference, Config: question.Config,
	})
	switch {
	case err == nil:
		return daemonAnswer{Answers: true, verdictJSON: &answer.verdictJSON}, &answer
	case errors.Is(err, fs.ErrPermission):
		return daemonAnswer{Problem: fmt.Sprintf("%v: only root may ask it", err)}, nil
	default:
		return daemonAnswer{Problem: err.Error()}, nil
	}
}
