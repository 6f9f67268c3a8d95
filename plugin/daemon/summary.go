package daemon

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy/text"
)

// statusEndpoint takes a [StatusRequest] and answers with a [Status].
const statusEndpoint = "/v1/status"

// statusTimeout limits how long a client waits for the status.
const statusTimeout = 3 * time.Second

// Limits of lists in a status: an answer has a maximum size.
const (
	// MaxNamespaces is the number of exceptions to the mode that a status has.
	MaxNamespaces = 200

	maxProblems = 20
	maxText     = 500
)

// StatusRequest asks for a [Status]. It has no parameters.
type StatusRequest struct{}

// Status is the state of the running daemon. Its JSON is the public interface of the command status, to which fields
// are only added.
type Status struct {
	Version string `json:"version"`
	// Ready reports whether every check is answered with yes.
	Ready  bool          `json:"ready"`
	Checks []StatusCheck `json:"checks"`
	// Containerd is the name and the version of the runtime, and FoundBy how the images of its containers are identified.
	// Both are empty until the plugin has registered for the first time.
	Containerd string `json:"containerd"`
	FoundBy    string `json:"found_by"`
	// Mode is the mode of namespaces without an exception; Namespaces are the first 200 exceptions.
	Mode       string            `json:"mode"`
	Namespaces map[string]string `json:"namespaces"`
	Policies   StatusPolicies    `json:"policies"`
	// LastHour are the decisions about containers in the last hour, the most frequent first.
	LastHour []Decisions `json:"last_hour"`
	// Drift are the IDs of containers that run although the policy of their namespace refuses them, when they were last
	// evaluated. Some of them may have ended since.
	Drift []string `json:"drift"`
	// DriftCount is how many there are, and Drifted the first 200 of them.
	DriftCount int            `json:"drift_count"`
	Drifted    []Drifted      `json:"drifted"`
	Evidence   StatusEvidence `json:"evidence"`
	// ImageService is the configured socket at which the kubelet pulls images; empty: there is none.
	ImageService string `json:"image_service"`
	// Supervised is set if containerd has started countersign, which runs the daemon itself, and not systemd.
	Supervised bool `json:"supervised"`
}

// StatusCheck is one health check and its answer: yes, no or unknown.
type StatusCheck struct {
	Check  string    `json:"check"`
	Status string    `json:"status"`
	Cause  string    `json:"cause"`
	Since  time.Time `json:"since"`
}

// StatusPolicies are the policy documents.
type StatusPolicies struct {
	Documents int `json:"documents"`
	Failures  int `json:"failures"`
	// Cluster is the path of the cluster document, if there is one: the system policy applies to no namespace then.
	Cluster string `json:"cluster"`
	// Problems are the first of all problems.
	Problems []string `json:"problems"`
}

// StatusEvidence is the store of evidence.
type StatusEvidence struct {
	Directory string `json:"directory"`
	Bytes     int64  `json:"bytes"`
	MaxBytes  int64  `json:"max_bytes"`
}

// Check returns the answer to a check; it is unknown if there is no such check.
func (s *Status) Check(name string) StatusCheck {
	for _, check := range s.Checks {
		if check.Check == name {
			return check
		}
	}
	return StatusCheck{Check: name, Status: "unknown", Cause: "the daemon does not report it"}
}

// ReadStatus requests the status of the daemon at a socket. Without a daemon the error is [socket.ErrNoDaemon].
func ReadStatus(ctx context.Context, client *socket.Client) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	return socket.Call[Status](ctx, client, statusEndpoint, StatusRequest{})
}

// status answers a status request.
func (d *daemon) status(ctx context.Context, _ StatusRequest) (Status, error) {
	// Containers that ended are not in drift. If containerd does not answer, they are listed nevertheless.
	ctx, cancel := context.WithTimeout(ctx, statusTimeout/2)
	defer cancel()
	if len(d.recorder.drift.list()) > 0 {
		_, _ = d.running.listed(ctx)
	}
	drifted := d.recorder.drift.list()
	shown := drifted[:min(len(drifted), maxShownDrift)]
	config := d.current.config()
	health := d.metrics.Health()
	documents := d.documents.Status()
	answer := Status{
		Version: d.version, Ready: health.Ready, Containerd: health.Name, FoundBy: string(health.FoundBy),
		Mode: config.Enforce.Mode.String(), Namespaces: make(map[string]string),
		Policies: StatusPolicies{
			Documents: documents.Documents, Failures: documents.Failures, Cluster: d.documents.Current().Cluster.Name,
			Problems: []string{},
		},
		LastHour: d.recorder.recent.lastHour(time.Now()),
		Drift:    ids(shown), DriftCount: len(ids(drifted)), Drifted: shown,
		Evidence: StatusEvidence{
			config.Evidence.Directory, d.keeper.StoredBytes(), int64(config.Evidence.MaxSize),
		},
		ImageService: config.CRIProxy.Socket, Supervised: d.supervised,
	}
	for _, check := range health.Checks {
		answer.Checks = append(answer.Checks, StatusCheck{
			string(check.Check), check.Status, text.Summary(check.Cause, maxText), check.Since,
		})
	}
	for _, namespace := range slices.Sorted(maps.Keys(config.Enforce.Namespaces)) {
		if len(answer.Namespaces) < MaxNamespaces {
			answer.Namespaces[namespace] = config.Enforce.Namespaces[namespace].String()
		}
	}
	for _, problem := range documents.Problems[:min(len(documents.Problems), maxProblems)] {
		answer.Policies.Problems = append(answer.Policies.Problems, text.Summary(describeProblem(problem), maxText))
	}
	return answer, nil
}
