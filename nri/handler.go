package nri

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// Stage is when a container was evaluated.
type Stage string

// The stages known to this package.
const (
	// Create is the validation of a container that is about to be created. A verdict here is enforced.
	Create Stage = "creation"
	// Start is the start of a created container. It is evaluated only if the runtime does not report images when it
	// creates a container, and then by the runtime's record. A verdict here is enforced if it is final.
	Start Stage = "start"
	// Running is a container that already ran when the plugin registered, or whose verdict was pending in audit mode. A
	// verdict here is only reported.
	Running Stage = "running"
)

// Report is all there is to know about one decision.
type Report struct {
	ContainerInfo
	Stage Stage
	// Volume is the mount point, in the container, of the image volume that the verdict is about. It is empty if the
	// verdict is about the container's own image. An admitted container has a report of its own and one for each of its
	// image volumes; a denied one has a single report, about the image that is denied.
	Volume  string
	Verdict policy.Verdict
	// Audit reports whether the namespace's mode is audit, or that of the policy that denies: a denial is reported and not
	// enforced.
	Audit bool
	// Took is how long the answer took. It is zero for an admitted volume: the container's report includes it.
	Took time.Duration
	// configs are the images that the container can run, once its root filesystem was compared with them.
	configs []digest.Digest
	// volumes are its image volumes, by mount point.
	volumes map[string]policy.Volume
}

// Handler answers for one container at a time; it may be used by several goroutines. Every field must be set,
// except Trace.
type Handler struct {
	// Deadline bounds each answer. NRI serialises all calls of a node: every other call waits for this one.
	Deadline *policy.Deadline
	Content  policy.ContentFunc
	Volume   policy.VolumeFunc
	// Record returns what the runtime has on record of a created container.
	Record policy.RecordFunc
	Decide func(context.Context, policy.Question) policy.Verdict
	// DecideVolume decides whether a namespace may use the files of an image volume.
	DecideVolume func(ctx context.Context, namespace string, volume policy.Volume) policy.Verdict
	// Audit reports whether a namespace's mode is audit.
	Audit func(namespace string) bool
	// Report is called with every decision before it is answered. Neither it nor Audit may block: they delay the answer.
	Report func(context.Context, Report)
	// Trace is called at the beginning of each decision, and the function that it returns at its end. The context is that
	// of the other functions, some of which may continue after the end. It may be nil.
	Trace func(context.Context, ContainerInfo, Stage) (context.Context, func(Report))
}

// Validate returns nil if the container may be created, or an error whose text the pod's author reads.
func (h *Handler) Validate(ctx context.Context, info ContainerInfo) error {
	_, err := h.validate(ctx, info)
	return err
}

func (h *Handler) validate(ctx context.Context, info ContainerInfo) (Report, error) {
	report, more := h.evaluate(ctx, info, Create, h.decide)
	h.report(ctx, report, more)
	if report.Verdict.Admitted() || report.Audit {
		return report, nil
	}
	return report, errors.New(Message(report))
}

// decideFunc decides about a container.
type decideFunc func(context.Context, ContainerInfo) (policy.Verdict, details)

// evaluate decides within the deadline.
func (h *Handler) evaluate(ctx context.Context, info ContainerInfo, stage Stage, decide decideFunc) (Report, details) {
	if h.Trace == nil {
		return h.inTime(ctx, info, stage, decide)
	}
	ctx, end := h.Trace(ctx, info, stage)
	report, more := h.inTime(ctx, info, stage, decide)
	end(report)
	return report, more
}

func (h *Handler) inTime(ctx context.Context, info ContainerInfo, stage Stage, decide decideFunc) (Report, details) {
	start := time.Now()
	report := Report{ContainerInfo: info, Stage: stage, Audit: h.Audit(info.Namespace)}
	// Details belong to the answer: a decision that comes too late must not change the report.
	found := make(chan details, 1)
	report.Verdict = h.Deadline.Answer(ctx, func(ctx context.Context) policy.Verdict {
		verdict, more := decide(ctx, info)
		found <- more
		return verdict
	})
	var more details
	select {
	case more = <-found:
		report.Volume, report.configs, report.volumes = more.denied, more.configs, more.volumes
		if more.config != "" {
			report.Config = more.config
		}
	default:
	}
	if verdict := &report.Verdict; !verdict.Admitted() && !refuses(verdict.Reason) {
		verdict.Detail = fmt.Sprintf("a denial with the reason %q: %s", verdict.Reason, verdict.Detail)
		verdict.Reason = policy.Internal
	}
	report.audited()
	report.Took = time.Since(start)
	return report, more
}

// audited makes a report of what enforcing every requirement would refuse: the requirements that are only audited are
// the audit mode of a policy, as [Handler.Audit] is that of a namespace. Nothing is refused because of it.
func (r *Report) audited() {
	if would := r.Verdict.WouldDeny; r.Verdict.Admitted() && would != nil {
		r.Verdict, r.Audit = *would, true
	}
}

// report reports the verdict about the container and then about each admitted image volume.
func (h *Handler) report(ctx context.Context, report Report, more details) {
	h.Report(ctx, report)
	for _, volume := range more.admitted {
		of := Report{
			ContainerInfo: report.ContainerInfo, Stage: report.Stage, Volume: volume.at, Verdict: volume.verdict,
			Audit: h.Audit(report.Namespace),
		}
		of.audited()
		h.Report(ctx, of)
	}
}

// refuses reports whether a denial can have that reason.
func refuses(reason policy.Reason) bool {
	return reason != policy.Accepted && slices.Contains(policy.Reasons(), reason)
}
