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

// laterDecision is one of them. The lock of later guards it.
type laterDecision struct {
	document *Document
	// asked is when somebody last wanted the answer, and wake is written to then.
	asked time.Time
	wake  chan struct{}
	// dropped reports whether others have taken its place.
	dropped bool
	// refusal is the last result; the zero verdict is none. What admits is in the cache of answers.
	refusal Verdict
}

func newLater() later {
	return later{turn: make(chan struct{}, 1), decisions: map[Question]*laterDecision{}}
}

// decideLater has a decision made in the background, and returns the last result if there is one.
func (d *Decider) decideLater(q Question, document *Document) Verdict {
	l := &d.later
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.decisions[q]
	if known == nil || known.document != document {
		l.lockedDrop(q)
		l.lockedMakeRoom()
		known = &laterDecision{document: document, wake: make(chan struct{}, 1)}
		started := d.sources.Start(func(ctx context.Context) {
			_ = Guard("a decision in the background", d.sources.Panicked, func() error {
				d.decideInBackground(ctx, q, known)
				return nil
			})
			l.ended(q, known)
		})
		if started {
			l.decisions[q] = known
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
	return Verdict{
		Reason: Pending, Document: document.Name,
		Detail: fmt.Sprintf("image %s has more manifests or names on this node than can be judged at once", q.Config),
	}
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

func (l *later) ended(q Question, known *laterDecision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.decisions[q] == known {
		delete(l.decisions, q)
	}
}

// wanted reports whether somebody waits for a decision.
func (l *later) wanted(known *laterDecision) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !known.dropped && time.Since(known.asked) <= waitedFor
}

// decideInBackground decides until the image is admitted or nobody waits for it any more. Evidence of more and more
// manifests is fetched, and judged the next time.
func (d *Decider) decideInBackground(ctx context.Context, q Question, known *laterDecision) {
	pause := minDecision
	<-known.wake
	for d.later.wanted(known) && !d.decideOnce(ctx, q, known) {
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

// decideOnce makes the decision when its turn has come, and reports whether there is an end of it.
func (d *Decider) decideOnce(ctx context.Context, q Question, known *laterDecision) (ended bool) {
	select {
	case d.later.turn <- struct{}{}:
		defer func() { <-d.later.turn }()
	case <-ctx.Done():
		return true
	}
	generations := d.generations()
	document, err := d.sources.Documents().For(q.Namespace)
	if err != nil || document != known.document {
		return true
	}
	decision := d.decision(q, document, nil)
	decision.paced = &Pacer{}
	found := decision.decide(ctx)
	if found.verdict.Admitted() {
		d.remember(q, document, generations, found)
		return true
	}
	d.later.mu.Lock()
	defer d.later.mu.Unlock()
	known.refusal = found.verdict
	return false
}
