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
	// Running is a container that already ran when the plugin registered, or whose verdict was pending in audit mode. A
	// verdict here is only reported.
	Running Stage = "running"
)

// VolumeFunc returns the config digests of the images a mount can be of, when its source is that of an image volume
// of the sandbox. A mount of another kind is none: false.
type VolumeFunc func(ctx context.Context, sandbox, source string) (configs []digest.Digest, isVolume bool, err error)

// Report is all there is to know about one decision.
type Report struct {
	ContainerInfo
	Stage Stage
	// Volume is the mount point, in the container, of the image volume that the verdict is about. It is empty if the
	// verdict is about the container's own image. An admitted container has a report of its own and one for each of its
	// image volumes; a denied one has a single report, about the image that is denied.
	Volume  string
	Verdict policy.Verdict
	// Audit reports whether the namespace's mode is audit: a denial is reported and not enforced.
	Audit bool
	// Took is how long the answer took. It is zero for an admitted volume: the container's report includes it.
	Took time.Duration
	// rootfsVerified reports whether the root filesystem was found to be the image's.
	rootfsVerified bool
}

// Handler answers for one container at a time; it may be used by several goroutines. Every field must be set.
type Handler struct {
	// Deadline bounds each answer. NRI serialises all calls of a node: every other call waits for this one.
	Deadline *policy.Deadline
	Content  policy.ContentFunc
	Volume   VolumeFunc
	Decide   func(context.Context, policy.Question) policy.Verdict
	// Audit reports whether a namespace's mode is audit.
	Audit func(namespace string) bool
	// Report is called with every decision before it is answered. Neither it nor Audit may block: they delay the answer.
	Report func(context.Context, Report)
}

// Validate returns nil when the container may be created, or an error in the words that the pod's author reads.
func (h *Handler) Validate(ctx context.Context, info ContainerInfo) error {
	_, err := h.validate(ctx, info)
	return err
}

func (h *Handler) validate(ctx context.Context, info ContainerInfo) (Report, error) {
	report := h.evaluate(ctx, info, Create)
	if report.Verdict.Admitted() || report.Audit {
		return report, nil
	}
	return report, errors.New(message(report))
}

// evaluate decides, and reports the verdict about the container and then about each admitted image volume.
func (h *Handler) evaluate(ctx context.Context, info ContainerInfo, stage Stage) Report {
	start := time.Now()
	report := Report{ContainerInfo: info, Stage: stage, Audit: h.Audit(info.Namespace)}
	// Details belong to the answer: a decision that comes too late must not change the report.
	found := make(chan details, 1)
	report.Verdict = h.Deadline.Answer(ctx, func(ctx context.Context) policy.Verdict {
		verdict, more := h.decide(ctx, info)
		found <- more
		return verdict
	})
	var more details
	select {
	case more = <-found:
		report.Volume, report.rootfsVerified = more.denied, more.rootfsVerified
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
			ContainerInfo: info, Stage: stage, Volume: volume.at, Verdict: volume.verdict, Audit: report.Audit,
		})
	}
	return report
}

// details are what a decision yields in addition to its verdict: the mount point of the image volume that is denied, if
// one is, or else the admitted image volumes.
type details struct {
	rootfsVerified bool
	denied         string
	admitted       []admittedVolume
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
func (h *Handler) decide(ctx context.Context, info ContainerInfo) (verdict policy.Verdict, more details) {
	if err := info.check(); err != nil {
		return policy.Denial(err), details{}
	}
	configs, err := h.Content(ctx, policy.Container{ID: info.ID, Config: info.Config})
	if err != nil {
		return policy.Denial(err), details{}
	}
	more.rootfsVerified = true
	verdict = h.decideContent(ctx, configs, true, info.question)
	for _, mount := range info.Mounts {
		if !verdict.Admitted() {
			break
		}
		configs, isVolume, err := h.Volume(ctx, info.Sandbox, mount.Source)
		if err != nil {
			return policy.Denial(err), details{rootfsVerified: true, denied: mount.Destination}
		}
		if !isVolume {
			continue
		}
		found := h.decideContent(ctx, configs, false, info.volumeQuestion)
		if !found.Admitted() {
			return found, details{rootfsVerified: true, denied: mount.Destination}
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
