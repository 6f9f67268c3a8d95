package audit

import (
	"time"

	"github.com/countersign/countersign/policy"
)

// Mode is whether denials are enforced in a namespace.
type Mode string

// The two modes. Every other value, including the zero value, means Enforce.
const (
	// Enforce refuses containers that the policy denies.
	Enforce Mode = "enforce"
	// Audit reports containers that the policy denies, and admits them.
	Audit Mode = "audit"
)

// Modes returns both modes, for metrics that start at zero.
func Modes() []Mode { return []Mode{Enforce, Audit} }

// Stage is the moment in a container's life at which it was evaluated.
type Stage string

// The stages. Every other value, including the zero value, means Creation.
const (
	// Creation is before the runtime creates the container; the runtime applies the verdict.
	Creation Stage = "creation"
	// Start is before the runtime starts a created container; the runtime applies the verdict. Only a denial is recorded.
	Start Stage = "start"
	// Running is when the container already ran as the daemon registered. The verdict is reported and has no effect.
	Running Stage = "running"
)

// Stages returns every stage, for metrics that start at zero.
func Stages() []Stage { return []Stage{Creation, Start, Running} }

// Record is the record of one decision. Its zero value describes a refused container.
type Record struct {
	// Time is when the request arrived.
	Time time.Time
	// Took is how long the answer took.
	Took  time.Duration
	Stage Stage
	Mode  Mode

	// FoundBy is how the image was identified.
	FoundBy policy.FoundBy

	// Question is the request: namespace, reference as the pod's author wrote it, and config digest.
	Question policy.Question
	// Verdict is the policy's verdict, whether or not it was enforced.
	Verdict policy.Verdict

	// Volume is the mount path of the image volume that was evaluated, or empty for the container's own image.
	Volume string

	// Pod and Container are names, which need not be unique; PodUID and ContainerID are.
	Pod         string
	PodUID      string
	Container   string
	ContainerID string
}

// WouldDeny reports whether the policy denies a container that exists nevertheless. A pending verdict is not reported:
// it is evaluated again, and then recorded again.
func (r Record) WouldDeny() bool {
	return !r.Verdict.Admitted() && r.there() && r.Verdict.Reason != policy.Pending
}

// Drift reports whether a container runs that the policy of its namespace refuses, where it is enforced. The container
// was created before the policy was changed or without countersign, or it started while the plugin did not answer.
func (r Record) Drift() bool {
	return r.Stage == Running && r.Mode != Audit && !r.Verdict.Admitted() && r.Verdict.Reason.Final()
}

// there reports whether the container exists whatever the verdict: its namespace is in audit mode, or it already ran.
func (r Record) there() bool { return r.Mode == Audit || r.Stage == Running }

// Outcome is what happened to the container; the verdict's own outcome is what should have happened.
func (r Record) Outcome() policy.Outcome {
	if r.Verdict.Admitted() || r.there() {
		return policy.Admit
	}
	return policy.Deny
}
