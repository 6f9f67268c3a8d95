package daemon

import (
	"context"
	"crypto/rand"
	"slices"
	"sync"
	"time"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// maxDenials is the number of decisions in memory. A client that reads every few seconds misses none on a node that
// creates ten containers a second.
const maxDenials = 1024

// denials are the last containers that were refused, or would have been, for those who read them over the socket.
type denials struct {
	start string

	mu sync.Mutex
	// last is the sequence of the last decision; list are the last decisions, the oldest first.
	last uint64
	list []socket.DeniedRequest
	// news is closed when the next decision is added.
	news chan struct{}
}

func newDenials() *denials {
	return &denials{start: rand.Text(), news: make(chan struct{})}
}

// add adds a decision if it denies. message is the text for the pod's author.
func (d *denials) add(record audit.Record, message string) {
	if record.Verdict.Admitted() || record.Verdict.Reason == policy.Pending {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last++
	if len(d.list) == maxDenials {
		d.list = slices.Delete(d.list, 0, 1)
	}
	d.list = append(d.list, socket.DeniedRequest{
		Sequence: d.last, Time: record.Time, Stage: string(record.Stage), Mode: string(record.Mode),
		WouldDeny: record.WouldDeny(), Namespace: record.Question.Namespace, Pod: record.Pod, PodUID: record.PodUID,
		Container: record.Container, ContainerID: record.ContainerID, Volume: record.Volume,
		Image: record.Question.Reference, ConfigDigest: record.Question.Config.String(),
		Reason: string(record.Verdict.Reason), Message: message,
	})
	close(d.news)
	d.news = make(chan struct{})
}

// after returns the decisions after a sequence, and a channel that is closed when there is another one.
func (d *denials) after(request socket.DecisionsRequest) (socket.DecisionsAnswer, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	from := request.After
	if request.Start != "" && request.Start != d.start || from > d.last {
		from = 0
	}
	answer := socket.DecisionsAnswer{Start: d.start, Sequence: from, Decisions: []socket.DeniedRequest{}}
	if from == d.last {
		return answer, d.news
	}
	oldest := d.list[0].Sequence
	if from+1 < oldest {
		answer.Missed, from = oldest-1-from, oldest-1
	}
	list := d.list[from+1-oldest:]
	answer.Decisions = slices.Clone(list[:min(len(list), socket.MaxDecisions)])
	answer.Sequence = answer.Decisions[len(answer.Decisions)-1].Sequence
	return answer, d.news
}

// answer answers one request. A daemon that was restarted answers at once, so that its client notices.
func (d *denials) answer(ctx context.Context, request socket.DecisionsRequest) (socket.DecisionsAnswer, error) {
	seconds := min(max(request.WaitSeconds, 0), socket.MaxWaitSeconds)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(seconds)*time.Second)
	defer cancel()
	for {
		answer, news := d.after(request)
		if len(answer.Decisions) > 0 || request.Start != "" && request.Start != d.start {
			return answer, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return answer, nil
		}
	}
}
