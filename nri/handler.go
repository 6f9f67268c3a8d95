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

// Stage is when a container was judged.
type Stage string

// The stages known to this package.
const (
	// Create is the validation of a container that is about to be created. A verdict here is enforced.
	Create Stage = "creation"
	// Running is a container that was there when the plugin registered. A verdict here is reported only.
	Running Stage = "running"
)

// VolumeFunc returns the config digests of the images a mount can be of, when its source is that of an image volume
// of the sandbox. A mount of another kind is none: false.
type VolumeFunc func(ctx context.Context, sandbox, source string) (configs []digest.Digest, isVolume bool, err error)

// Report is everything there is to say of one decision.
type Report struct {
	Creation
	Stage Stage
	// Volume is where in the container the image volume is mounted that the verdict is about. It is empty when the
	// verdict is about the container's own image. A container with image volumes that is admitted has a report for
	// itself and one for each of these; one that is denied has one, for what denies it.
	Volume  string
	Verdict policy.Verdict
	// Audit says that the namespace's mode is audit: a denial is reported and not enforced.
	Audit bool
	// Took is how long the answer took. It is zero for a volume that was let in: the container's report has it all.
	Took time.Duration
	// compared says that the root filesystem was found to be the image's.
	compared bool
}

// Handler answers for one container at a time; it may be used by several goroutines. Every field must be set.
type Handler struct {
	// Deadline bounds each answer. NRI serialises all calls of a node: what one callback takes, every other waits.
	Deadline *policy.Deadline
	Content  policy.ContentFunc
	Volume   VolumeFunc
	Decide   func(context.Context, policy.Question) policy.Verdict
	// Audit says whether a namespace's mode is audit.
	Audit func(namespace string) bool
	// Report is told of every decision, before it is answered. Neither it nor Audit may wait: the answer does for them.
	Report func(context.Context, Report)
}

// Validate returns nil when the container may be created, or an error in the words that the pod's author reads.
func (h *Handler) Validate(ctx context.Context, creation Creation) error {
	_, err := h.validate(ctx, creation)
	return err
}

func (h *Handler) validate(ctx context.Context, creation Creation) (Report, error) {
	report := h.judge(ctx, creation, Create)
	if report.Verdict.Admitted() || report.Audit {
		return report, nil
	}
	return report, errors.New(message(report))
}

// judge decides and reports: the container, and then each image volume that was let in with it.
func (h *Handler) judge(ctx context.Context, creation Creation, stage Stage) Report {
	start := time.Now()
	report := Report{Creation: creation, Stage: stage, Audit: h.Audit(creation.Namespace)}
	// What else is found belongs to the answer, and a decision that comes too late must not touch the report any more.
	found := make(chan findings, 1)
	report.Verdict = h.Deadline.Answer(ctx, func(ctx context.Context) policy.Verdict {
		verdict, more := h.decide(ctx, creation)
		found <- more
		return verdict
	})
	var more findings
	select {
	case more = <-found:
		report.Volume, report.compared = more.denied, more.compared
	default:
	}
	if verdict := &report.Verdict; !verdict.Admitted() && !refuses(verdict.Reason) {
		verdict.Detail = fmt.Sprintf("a denial with the reason %q: %s", verdict.Reason, verdict.Detail)
		verdict.Reason = policy.Internal
	}
	report.Took = time.Since(start)
	h.Report(ctx, report)
	for _, volume := range more.admitted {
		h.Report(ctx, Report{
			Creation: creation, Stage: stage, Volume: volume.at, Verdict: volume.verdict, Audit: report.Audit,
		})
	}
	return report
}

// findings are what a decision says beside its verdict: the image volume that is denied, if that is what denies, or
// else those that were let in, by where they are mounted.
type findings struct {
	compared bool
	denied   string
	admitted []admittedVolume
}

type admittedVolume struct {
	at      string
	verdict policy.Verdict
}

// refuses reports whether a denial can have that reason.
func refuses(reason policy.Reason) bool {
	return reason != policy.Accepted && slices.Contains(policy.Reasons(), reason)
}

// decide determines first what no name and no digest can tell: which image the root filesystem belongs to. Then it
// judges that image, and then the image of each image volume.
func (h *Handler) decide(ctx context.Context, creation Creation) (verdict policy.Verdict, more findings) {
	if err := creation.check(); err != nil {
		return policy.Denial(err), findings{}
	}
	configs, err := h.Content(ctx, policy.Container{ID: creation.ID, Config: creation.Config})
	if err != nil {
		return policy.Denial(err), findings{}
	}
	more.compared = true
	verdict = h.decideContent(ctx, configs, true, creation.question)
	for _, mount := range creation.Mounts {
		if !verdict.Admitted() {
			break
		}
		configs, isVolume, err := h.Volume(ctx, creation.Sandbox, mount.Source)
		if err != nil {
			return policy.Denial(err), findings{compared: true, denied: mount.Destination}
		}
		if !isVolume {
			continue
		}
		found := h.decideContent(ctx, configs, false, creation.volumeQuestion)
		if !found.Admitted() {
			return found, findings{compared: true, denied: mount.Destination}
		}
		more.admitted = append(more.admitted, admittedVolume{mount.Destination, found})
	}
	return verdict, more
}

// decideContent judges the images that a root filesystem or a volume can belong to. Images with the same layers cannot
// be told apart. For a container every one must be accepted, because their entry points differ; for a volume, of which
// nothing but the files is used, one accepted image is enough.
func (h *Handler) decideContent(
	ctx context.Context, configs []digest.Digest, every bool, question func(digest.Digest) policy.Question,
) policy.Verdict {
	if len(configs) == 0 {
		return policy.Denial(policy.Refuse(policy.UnknownOrigin, "no image on this node has these layers"))
	}
	var accepted, denied policy.Verdict
	for _, config := range configs {
		verdict := h.Decide(ctx, question(config))
		switch {
		case verdict.Admitted() != every:
			return verdict
		case every:
			accepted = verdict
		default:
			denied = denied.Or(verdict)
		}
	}
	if every {
		return accepted
	}
	return denied
}
