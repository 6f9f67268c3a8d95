package tracing

import (
	"context"
	"errors"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/countersign/countersign/policy"
)

// Limits of the queue. A decision has about ten spans, and a node makes at most some dozen decisions a second.
const (
	maxQueued = 4096
	maxBatch  = 512
	// batchDelay is how long a span waits for others, and exportTimeout how long the collector may take for a batch.
	batchDelay    = time.Second
	exportTimeout = 10 * time.Second
)

// queue passes finished spans to an exporter, without ever blocking the caller. The SDK's own processor does not tell
// how many spans it drops, and wakes up while there are none.
type queue struct {
	exporter sdk.SpanExporter
	config   Config
	spans    chan sdk.ReadOnlySpan
	stop     chan struct{}
	ended    chan struct{}
	// exporting ends when no export may continue.
	exporting context.Context //nolint:containedctx // The queue is the owner of the goroutine that exports.
	cancel    context.CancelFunc
	// failing reports whether the last export failed.
	failing bool
}

var _ sdk.SpanProcessor = (*queue)(nil)

func newQueue(exporter sdk.SpanExporter, config Config) *queue {
	q := &queue{
		exporter: exporter, config: config, spans: make(chan sdk.ReadOnlySpan, maxQueued),
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	q.exporting, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// OnStart implements [sdk.SpanProcessor].
func (q *queue) OnStart(context.Context, sdk.ReadWriteSpan) {}

// OnEnd implements [sdk.SpanProcessor].
func (q *queue) OnEnd(span sdk.ReadOnlySpan) {
	if !span.SpanContext().IsSampled() {
		return
	}
	select {
	case q.spans <- span:
	default:
		q.config.Dropped(1)
	}
}

// ForceFlush implements [sdk.SpanProcessor].
func (q *queue) ForceFlush(context.Context) error { return nil }

// Shutdown implements [sdk.SpanProcessor]: it exports what is in the queue until the context ends. It is called
// once, by [Tracer.Close].
func (q *queue) Shutdown(ctx context.Context) error {
	defer q.cancel()
	defer context.AfterFunc(ctx, q.cancel)()
	close(q.stop)
	<-q.ended
	return errors.Join(ctx.Err(), q.exporter.Shutdown(context.WithoutCancel(ctx)))
}

// run exports spans until the queue is stopped, and then those that are left.
func (q *queue) run() {
	defer close(q.ended)
	for {
		select {
		case first := <-q.spans:
			q.export(q.batch(first))
		case <-q.stop:
			for len(q.spans) > 0 {
				q.export(q.batch(<-q.spans))
			}
			return
		}
	}
}

// batch returns a span, and those that follow it soon.
func (q *queue) batch(first sdk.ReadOnlySpan) []sdk.ReadOnlySpan {
	batch := []sdk.ReadOnlySpan{first}
	delay := time.NewTimer(batchDelay)
	defer delay.Stop()
	stop := q.stop
	for len(batch) < maxBatch {
		select {
		case span := <-q.spans:
			batch = append(batch, span)
		case <-delay.C:
			return batch
		case <-stop:
			if len(q.spans) == 0 {
				return batch
			}
			batch = append(batch, <-q.spans)
		}
	}
	return batch
}

// export exports a batch. It logs only the first of several failures in a row.
func (q *queue) export(batch []sdk.ReadOnlySpan) {
	ctx, cancel := context.WithTimeout(q.exporting, exportTimeout)
	defer cancel()
	err := policy.Guard("an export of traces", q.config.Panicked, func() error {
		return q.exporter.ExportSpans(ctx, batch)
	})
	if err != nil {
		q.config.Dropped(len(batch))
		if !q.failing {
			q.config.Logger.Warn("cannot export traces: spans are dropped until the collector accepts them",
				"endpoint", q.config.Endpoint, "error", err)
		}
	} else if q.failing {
		q.config.Logger.Info("traces are exported again", "endpoint", q.config.Endpoint)
	}
	q.failing = err != nil
}
