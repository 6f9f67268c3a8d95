package socket

import "time"

// DecisionsEndpoint is the endpoint that takes a [DecisionsRequest] and answers with [DecisionsAnswer].
const DecisionsEndpoint = "/v1/decisions"

// Limits of the decisions.
const (
	// MaxWaitSeconds limits how long a request waits.
	MaxWaitSeconds = 60
	// MaxDecisions limits the decisions in an answer, and MaxDecisionsAnswer the answer, in bytes.
	MaxDecisions       = 256
	MaxDecisionsAnswer = 1 << 20
)

// DecisionsRequest asks for the last containers that were refused, or would have been. It waits if there is none.
type DecisionsRequest struct {
	// Start is the start of the last answer. With another one than the daemon's, After does not count.
	Start string `json:"start,omitempty"`
	// After is the sequence of the last decision that the client has; 0: it has none.
	After uint64 `json:"after"`
	// WaitSeconds is how long to wait for a decision, at most 60.
	WaitSeconds int `json:"wait_seconds"`
}

// DecisionsAnswer are decisions, the oldest first. It has none if none was made in time.
type DecisionsAnswer struct {
	// Start identifies the start of the daemon: sequences begin anew at each.
	Start string `json:"start"`
	// Sequence is that of the last decision in the answer, or that of the request.
	Sequence uint64 `json:"sequence"`
	// Missed is the number of decisions before these that the daemon does not have any more.
	Missed    uint64          `json:"missed"`
	Decisions []DeniedRequest `json:"decisions"`
}

// DeniedRequest is a container that was refused, or would have been in enforce mode. Decisions that are pending are
// not among them: they are made again.
type DeniedRequest struct {
	Sequence uint64    `json:"sequence"`
	Time     time.Time `json:"time"`
	// Stage is creation, start or running, and Mode enforce or audit.
	Stage string `json:"stage"`
	Mode  string `json:"mode"`
	// WouldDeny reports that the container was not refused.
	WouldDeny   bool   `json:"would_deny"`
	Namespace   string `json:"namespace"`
	Pod         string `json:"pod"`
	PodUID      string `json:"pod_uid"`
	Container   string `json:"container"`
	ContainerID string `json:"container_id"`
	// Volume is the mount path of the image volume that was refused; empty: it was the container's own image.
	Volume string `json:"volume,omitempty"`
	// Image is the reference as the pod's author wrote it, and ConfigDigest the image.
	Image        string `json:"image"`
	ConfigDigest string `json:"config_digest"`
	Reason       string `json:"reason"`
	// Message is the text for the pod's author: it names nothing of other tenants.
	Message string `json:"message"`
}
