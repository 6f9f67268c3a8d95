package daemon

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy/text"
)

// Limits of the decisions in memory: a node runs at most some hundred pods, and a pod has a few containers.
const (
	maxSubjects            = 512
	maxDecisionsPerSubject = 5
	maxDecisionDetail      = 2048
)

// PastDecision is a decision that was made. Its JSON has the keys of the audit record.
type PastDecision struct {
	Time            time.Time `json:"time"`
	Outcome         string    `json:"outcome"`
	Reason          string    `json:"reason"`
	Stage           string    `json:"stage"`
	Mode            string    `json:"mode"`
	WouldDeny       bool      `json:"would_deny"`
	Namespace       string    `json:"namespace"`
	Pod             string    `json:"pod"`
	Container       string    `json:"container"`
	ContainerID     string    `json:"container_id"`
	Volume          string    `json:"volume"`
	Reference       string    `json:"reference"`
	JudgedReference string    `json:"judged_reference"`
	Digest          string    `json:"digest"`
	ConfigDigest    string    `json:"config_digest"`
	FoundBy         string    `json:"found_by"`
	Document        string    `json:"document"`
	Scope           string    `json:"scope"`
	Detail          string    `json:"detail"`
	TookSeconds     float64   `json:"took_seconds"`
}

// Subject names containers: those of a pod, one of them, or the one with an ID, which may be abbreviated.
type Subject struct {
	Namespace   string `json:"namespace,omitempty"`
	Pod         string `json:"pod,omitempty"`
	Container   string `json:"container,omitempty"`
	ContainerID string `json:"container_id,omitempty"`
}

// Matches reports whether a decision is about the subject.
func (s Subject) Matches(d PastDecision) bool {
	if s.ContainerID != "" {
		return strings.HasPrefix(d.ContainerID, s.ContainerID)
	}
	return s.Pod != "" && d.Namespace == s.Namespace && d.Pod == s.Pod &&
		(s.Container == "" || d.Container == s.Container)
}

// decisions are the last decisions about each container name of each pod. Names, unlike IDs, stay the same while the
// kubelet retries.
type decisions struct {
	mu    sync.Mutex
	known *lru.Cache[Subject, []PastDecision]
}

func newDecisions() *decisions {
	known, err := lru.New[Subject, []PastDecision](maxSubjects)
	if err != nil {
		panic(err) // Only a size below one is an error.
	}
	return &decisions{known: known}
}

func (d *decisions) add(record audit.Record) {
	past := pastDecision(record)
	key := Subject{Namespace: past.Namespace, Pod: past.Pod, Container: past.Container}
	d.mu.Lock()
	defer d.mu.Unlock()
	before, _ := d.known.Get(key)
	list := append([]PastDecision{past}, before...)
	d.known.Add(key, list[:min(len(list), maxDecisionsPerSubject)])
}

// about returns the decisions about a subject, the newest first.
func (d *decisions) about(subject Subject) []PastDecision {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []PastDecision
	for _, list := range d.known.Values() {
		for _, past := range list {
			if subject.Matches(past) {
				found = append(found, past)
			}
		}
	}
	NewestFirst(found)
	return found[:min(len(found), maxShownDecisions)]
}

// NewestFirst sorts decisions by their time.
func NewestFirst(list []PastDecision) {
	slices.SortStableFunc(list, func(a, b PastDecision) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Container, b.Container))
	})
}

func pastDecision(r audit.Record) PastDecision {
	return PastDecision{
		Time: r.Time, Outcome: r.Outcome().String(), Reason: string(r.Verdict.Reason),
		Stage: string(r.Stage), Mode: string(r.Mode), WouldDeny: r.WouldDeny(),
		Namespace: r.Question.Namespace, Pod: r.Pod, Container: r.Container, ContainerID: r.ContainerID, Volume: r.Volume,
		Reference: r.Question.Reference, JudgedReference: r.Verdict.Reference, Digest: r.Verdict.Digest.String(),
		ConfigDigest: r.Question.Config.String(), FoundBy: string(r.FoundBy),
		Document: r.Verdict.Document, Scope: r.Verdict.Scope,
		Detail:      text.Shorten(strings.TrimSpace(r.Verdict.Detail), maxDecisionDetail),
		TookSeconds: r.Took.Seconds(),
	}
}
