package daemon

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

// explainEndpoint takes an [ExplainRequest] and answers with an [Explanation].
const explainEndpoint = "/v1/explain"

const (
	// explainTimeout limits one explanation; a pending decision is repeated every explainPause for explainRepeat.
	explainTimeout = 5 * time.Second
	explainRepeat  = 150 * time.Millisecond
	explainPause   = 10 * time.Millisecond
	// maxExplanation limits an answer, in bytes.
	maxExplanation = 8 << 20
)

// Explain requests an explanation from the daemon at a socket. Without a daemon the error is [socket.ErrNoDaemon], and
// without a decision about the subject an [*socket.Error] with status 404.
func Explain(ctx context.Context, client *socket.Client, request ExplainRequest) (Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, explainTimeout+time.Second)
	defer cancel()
	endpoint := socket.Large{Endpoint: explainEndpoint, Limit: maxExplanation}
	return socket.CallLarge[Explanation](ctx, client, endpoint, request)
}

// explainer answers explain requests with the daemon's own decisions.
type explainer struct {
	decider   *policy.Decider
	decisions *decisions
	mode      func(namespace string) string
	kinds     policy.Kinds
	// foundBy returns how images are identified, and alike the images that a container with the same layers could run.
	foundBy func() policy.FoundBy
	alike   func(context.Context, policy.Question) ([]digest.Digest, error)
	// running lists the running containers, record returns the runtime's record of one, and content compares its files.
	running func(context.Context) ([]containerd.Container, error)
	record  policy.RecordFunc
	content policy.ContentFunc
	slots   slots
}

// subject is what an explanation is about.
type subject struct {
	Subject
	question policy.Question
	absent   string
	past     []PastDecision
	running  bool
}

func (e *explainer) answer(ctx context.Context, request ExplainRequest) (Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	release, err := e.slots.acquire(ctx)
	if err != nil {
		return Explanation{}, err
	}
	defer release()
	start := time.Now()
	about, err := e.find(ctx, request)
	if err != nil {
		return Explanation{}, err
	}
	answer := Explanation{
		Mode: e.mode(about.question.Namespace), Namespace: about.question.Namespace, Pod: about.Pod,
		Container: about.Container, Reference: about.question.Reference, FoundBy: e.foundBy(),
		Decisions: append([]PastDecision{}, about.past...), Images: []ExplainedImage{},
	}
	if len(about.past) > 0 {
		answer.Source = "the daemon's memory"
	}
	if about.running {
		answer.RootFS = e.compare(ctx, about)
	}
	e.evaluate(ctx, about, &answer)
	answer.TookSeconds = time.Since(start).Seconds()
	return answer, nil
}

// find returns the question of a request: what the last decision about its subject was asked, or what a running
// container would be asked, or the request itself.
func (e *explainer) find(ctx context.Context, request ExplainRequest) (subject, error) {
	about := subject{Subject: request.Subject, absent: request.Absent, question: policy.Question{
		Namespace: request.Namespace, Reference: request.Reference, Config: digest.Digest(request.Config),
	}}
	if request.Pod == "" && request.ContainerID == "" {
		return about, nil
	}
	about.past = e.decisions.about(request.Subject)
	if last, ok := MostTelling(about.past); ok {
		about.Subject = Subject{last.Namespace, last.Pod, last.Container, last.ContainerID}
		about.question = policy.Question{
			Namespace: last.Namespace, Reference: last.Reference, Config: digest.Digest(last.ConfigDigest),
		}
	}
	running, err := e.running(ctx)
	at := slices.IndexFunc(running, func(c containerd.Container) bool {
		return about.Matches(PastDecision{Namespace: c.Namespace, Pod: c.Pod, Container: c.Name, ContainerID: c.ID})
	})
	switch {
	case at >= 0:
		return e.ofRunning(ctx, about, running[at]), nil
	case len(about.past) > 0 || request.Reference != "":
		return about, nil
	default:
		return subject{}, nothingKnown(request.Subject, err)
	}
}

// nothingKnown is the answer about a subject without decisions. The error is why running containers are not known.
func nothingKnown(about Subject, err error) error {
	why := "no such container runs"
	if err != nil {
		why = fmt.Sprintf("running containers are not known: %v", err)
	}
	return &socket.Error{
		Status: http.StatusNotFound, Message: fmt.Sprintf("no decision about %s is known, and %s", about, why),
	}
}

// MostTelling returns the last decision, or the last denial if the last decision about its container is one: of several
// containers of a pod, people ask about the one that does not start.
func MostTelling(past []PastDecision) (PastDecision, bool) {
	seen := map[string]bool{}
	for _, decision := range past {
		if !seen[decision.Container] && decision.Reason != string(policy.Accepted) {
			return decision, true
		}
		seen[decision.Container] = true
	}
	if len(past) == 0 {
		return PastDecision{}, false
	}
	return past[0], true
}

// ofRunning returns what a running container would be asked.
func (e *explainer) ofRunning(ctx context.Context, about subject, container containerd.Container) subject {
	about.Subject = Subject{container.Namespace, container.Pod, container.Name, container.ID}
	about.question.Namespace, about.question.Reference = container.Namespace, container.Reference
	about.running = true
	record, err := e.record(ctx, container.ID)
	if err != nil {
		about.absent = err.Error()
		return about
	}
	about.question.Config = record.Config
	return about
}

// String returns the subject as a command line names it.
func (s Subject) String() string {
	if s.ContainerID != "" && s.Pod == "" {
		return "container " + s.ContainerID
	}
	return strings.TrimSuffix(s.Namespace+"/"+s.Pod+"/"+s.Container, "/")
}

// compare compares the root filesystem of a running container with its image, as before it was created.
func (e *explainer) compare(ctx context.Context, about subject) *RootFS {
	found := &RootFS{ContainerID: about.ContainerID, Result: "unknown", Detail: about.absent}
	if about.question.Config == "" {
		return found
	}
	_, err := e.content(ctx, policy.Container{ID: about.ContainerID, Config: about.question.Config})
	if err == nil {
		found.Result = "yes"
		return found
	}
	found.Detail = err.Error()
	if policy.Denial(err).Reason == policy.UnknownOrigin {
		found.Result = "no"
	}
	return found
}

// evaluate evaluates the images that can run, and adds the evaluation to the answer.
func (e *explainer) evaluate(ctx context.Context, about subject, answer *Explanation) {
	document, err := e.decider.Document(about.question.Namespace)
	var configs []digest.Digest
	if err == nil {
		configs, err = e.configs(ctx, about)
	}
	if err != nil {
		verdict := policy.Denial(err)
		image := e.describer(about.question).image(policy.Explanation{Verdict: verdict, Document: document})
		answer.Images = append(answer.Images, image)
		answer.set(verdict, "")
		return
	}
	deadline := time.Now().Add(explainRepeat)
	verdict, _ := nri.DecideEvery(configs, func(config digest.Digest) policy.Verdict {
		q := about.question
		q.Config = config
		explained := e.decider.Explain(ctx, q)
		for explained.Verdict.Reason == policy.Pending && time.Now().Before(deadline) && ctx.Err() == nil {
			pause(ctx, explainPause)
			explained = e.decider.Explain(ctx, q)
		}
		if len(answer.Images) < maxShownImages {
			answer.Images = append(answer.Images, e.describer(q).image(explained))
		}
		return explained.Verdict
	})
	answer.set(verdict, e.decider.Advice(verdict))
	if verdict.Admitted() {
		answer.Signers = signers(answer.Images)
	}
}

func (e *explainer) describer(q policy.Question) describer { return describer{e.decider, e.kinds, q} }

func (a *Explanation) set(verdict policy.Verdict, advice string) {
	told := VerdictOf(verdict)
	a.Outcome, a.Basis, a.Advice = told.Outcome, told.Basis, advice
}

// configs returns the images that the container in question can run.
func (e *explainer) configs(ctx context.Context, about subject) ([]digest.Digest, error) {
	if err := about.question.ValidateReference(); err != nil {
		return nil, err
	}
	if about.question.Config == "" {
		return nil, policy.Refuse(policy.Unavailable, "%s", cmp.Or(about.absent, "the image is not known"))
	}
	if e.foundBy() != policy.FoundByLayers || about.running {
		return []digest.Digest{about.question.Config}, nil
	}
	return e.alike(ctx, about.question)
}
