package audit

import (
	"time"

	"github.com/countersign/countersign/policy"
)

// Mode is what a verdict means for the containers of a namespace.
type Mode string

// The two modes. Anything else, the zero Mode too, means what Enforce does.
const (
	// Enforce: what the policy denies is refused.
	Enforce Mode = "enforce"
	// Audit: what the policy denies is admitted, and reported.
	Audit Mode = "audit"
)

// Modes returns both modes, for metrics that start at zero.
func Modes() []Mode { return []Mode{Enforce, Audit} }

// Stage is the moment in a container's life at which the policy was asked.
type Stage string

// The stages. Anything else, the zero Stage too, means what Creation does.
const (
	// Creation: the runtime asks before it creates the container, and obeys.
	Creation Stage = "creation"
	// Running: the container was there before the daemon registered. The verdict is reported and stops nothing.
	Running Stage = "running"
)

// Stages returns every stage, for metrics that start at zero.
func Stages() []Stage { return []Stage{Creation, Running} }

// Record is what is known of one decision. Its zero value is of a container that was refused.
type Record struct {
	// Time is when the question arrived.
	Time time.Time
	// Took is how long the answer took.
	Took  time.Duration
	Stage Stage
	Mode  Mode

	// Question is what was asked: namespace, reference as the pod's author wrote it, and config digest.
	Question policy.Question
	// Verdict is what the policy says, whether or not it was enforced.
	Verdict policy.Verdict

	// Volume is where in the container the image volume is mounted that was judged. It is empty for the container's
	// own image.
	Volume string

	// Pod and Container are names; PodUID and ContainerID tell apart those that share one.
	Pod         string
	PodUID      string
	Container   string
	ContainerID string
}

// WouldDeny reports whether the policy denies and the container is there all the same. What is pending is not known
// yet: it is judged again, and then on record once more.
func (r Record) WouldDeny() bool {
	return !r.Verdict.Admitted() && r.there() && r.Verdict.Reason != policy.Pending
}

// there reports whether the container is there whatever the policy says: its namespace is in audit mode, or it ran
// already.
func (r Record) there() bool { return r.Mode == Audit || r.Stage == Running }

// Outcome is what became of the container, where the verdict's own outcome is what should have.
func (r Record) Outcome() policy.Outcome {
	if r.Verdict.Admitted() || r.there() {
		return policy.Admit
	}
	return policy.Deny
}
