package policy

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Bounds of the decisions in the background. The kubelet asks again within five minutes; a decision for which nobody
// has asked for longer ends. One whose verdict is pending is made again after a second, and then less and less often.
const (
	maxLater    = 256
	waitedFor   = 6 * time.Minute
	minDecision = time.Second
	maxDecision = 30 * time.Second
)

// later are decisions that a callback cannot wait for. They are made one at a time.
type later struct {
	turn chan struct{}

	mu        sync.Mutex
	decisions map[Question]*laterDecision
}

// laterJob is what is decided in the background.
type laterJob struct {
	// key identifies the job. It need not be a question that can be asked.
	key Question
	// document is the one by which it is decided. Another document is another job.
	document *Document
	// detail says why it is decided in the background.
	detail string
	// decide decides, and remembers what it admits.
	decide func(context.Context) Verdict
}

// laterDecision is a job in the background. The lock of later guards it.
type laterDecision struct {
	laterJob
	// asked is the time of the last request for the answer. Each request also sends to wake.
	asked time.Time
	wake  chan struct{}
	// dropped reports whether others have taken its place.
	dropped bool
	// refusal is the last result; the zero verdict is none. What admits is remembered where it is looked for first.
	refusal Verdict
}

func newLater() later {
	return later{turn: make(chan struct{}, 1), decisions: map[Question]*laterDecision{}}
}

// decideLater starts a decision in the background, and returns the last result if there is one.
func (d *Decider) decideLater(job laterJob) Verdict {
	l := &d.later
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.decisions[job.key]
	if known == nil || known.document != job.document {
		l.lockedDrop(job.key)
		l.lockedMakeRoom()
		known = &laterDecision{laterJob: job, wake: make(chan struct{}, 1)}
		started := d.sources.Start(func(ctx context.Context) {
			_ = Guard("a decision in the background", d.sources.Panicked, func() error {
				l.run(ctx, known)
				return nil
			})
			l.ended(known)
		})
		if started {
			l.decisions[job.key] = known
		}
	}
	known.asked = time.Now()
	select {
	case known.wake <- struct{}{}:
	default:
	}
	if known.refusal.Reason != "" {
		return known.refusal
	}
	return Verdict{Reason: Pending, Document: job.document.Name, Detail: job.detail}
}

// lockedMakeRoom drops a decision if there are too many: of the namespace that has the most, the one for which nobody
// has asked for the longest time.
func (l *later) lockedMakeRoom() {
	if len(l.decisions) < maxLater {
		return
	}
	ofNamespace := map[string]int{}
	for q := range l.decisions {
		ofNamespace[q.Namespace]++
	}
	var last Question
	for q, known := range l.decisions {
		more := ofNamespace[q.Namespace] - ofNamespace[last.Namespace]
		if last == (Question{}) || more > 0 || more == 0 && known.asked.Before(l.decisions[last].asked) {
			last = q
		}
	}
	l.lockedDrop(last)
}

func (l *later) lockedDrop(q Question) {
	if known := l.decisions[q]; known != nil {
		known.dropped = true
		delete(l.decisions, q)
	}
}

func (l *later) ended(known *laterDecision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.decisions[known.key] == known {
		delete(l.decisions, known.key)
	}
}

// wanted reports whether somebody waits for a decision.
func (l *later) wanted(known *laterDecision) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !known.dropped && time.Since(known.asked) <= waitedFor
}

// run decides until the verdict admits or nobody waits for it any more. Evidence of more and more manifests is fetched,
// and judged the next time.
func (l *later) run(ctx context.Context, known *laterDecision) {
	pause := minDecision
	<-known.wake
	for l.wanted(known) && !l.decide(ctx, known) {
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			pause = min(2*pause, maxDecision)
		case <-known.wake:
			pause = minDecision
		}
		again.Stop()
	}
}

// decide makes a decision when its turn has come, and reports whether it admits.
func (l *later) decide(ctx context.Context, known *laterDecision) (admits bool) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return true
	}
	verdict := known.decide(ctx)
	if verdict.Admitted() {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	known.refusal = verdict
	return false
}

// decideImageLater starts a decision in the background. It examines every manifest and every name of the image.
func (d *Decider) decideImageLater(q Question, document *Document) Verdict {
	return d.decideLater(laterJob{
		key: q, document: document,
		detail: fmt.Sprintf("image %s has more manifests or names on this node than can be judged at once", q.Config),
		decide: func(ctx context.Context) Verdict {
			generations := d.generations()
			decision := d.decision(q, document, nil)
			decision.paced = &Pacer{}
			found := decision.audited(ctx)
			d.remember(q, document, generations, found)
			return found.verdict
		},
	})
}
