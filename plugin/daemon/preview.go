package daemon

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/text"
)

// previewTimeout limits one preview. Until then, containers without a final verdict are evaluated again.
const previewTimeout = 10 * time.Second

// maxPreviewDetail limits the text about one container.
const maxPreviewDetail = 1000

// preview evaluates running containers under documents that are not in force.
type preview struct {
	current func() *policy.Set
	parse   policy.ParseFunc
	// decider returns what decides by a set of documents.
	decider  func(*policy.Set) (*policy.Decider, error)
	list     func(context.Context) ([]containerd.Container, error)
	evaluate func(context.Context, []nri.ContainerInfo, *policy.Decider, func(context.Context, nri.Report))
	panicked policy.PanicFunc
	timeout  time.Duration
	slots    slots
}

func (d *daemon) newPreview() *preview {
	return &preview{
		current: d.documents.Current,
		parse:   PolicyParser(d.kinds),
		decider: func(set *policy.Set) (*policy.Decider, error) {
			sources := d.sources()
			sources.Documents = func() *policy.Set { return set }
			// What would satisfy these documents does not satisfy those in force, and is not protected. Without generations,
			// nothing is cached.
			sources.Satisfied, sources.Generations = nil, nil
			return policy.NewDecider(sources)
		},
		list:     d.runningContainers,
		evaluate: d.plugin.Preview,
		panicked: d.panicked,
		timeout:  previewTimeout,
		slots:    make(slots, 1),
	}
}

// answer answers one request.
func (p *preview) answer(ctx context.Context, request socket.PreviewRequest) (socket.PreviewAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	release, err := p.slots.acquire(ctx)
	if err != nil {
		return socket.PreviewAnswer{}, err
	}
	defer release()
	set, err := p.changed(request)
	if err != nil {
		return socket.PreviewAnswer{}, &socket.Error{Status: http.StatusBadRequest, Message: err.Error()}
	}
	decider, err := p.decider(set)
	if err != nil {
		return socket.PreviewAnswer{}, fmt.Errorf("connecting the parts of a decision: %w", err)
	}
	running, err := p.list(ctx)
	if err != nil {
		return socket.PreviewAnswer{}, err
	}
	verdicts := newPreviewed(p.selected(running, request))
	p.evaluate(ctx, verdicts.infos(), decider, verdicts.report)
	return verdicts.answer(ctx.Err() == nil), nil
}

// changed returns the documents in force, with those of the request instead of their own.
func (p *preview) changed(request socket.PreviewRequest) (*policy.Set, error) {
	set := *p.current()
	set.Directory = nil // Which namespaces are evaluated does not depend on it.
	set.Namespaces = maps.Clone(set.Namespaces)
	if set.Namespaces == nil {
		set.Namespaces = make(map[string]policy.Source)
	}
	for namespace, raw := range request.Documents {
		name := "document of namespaces without one of their own"
		if namespace != "" {
			name = "document of namespace " + namespace
			if !policy.ValidNamespace(namespace) {
				return nil, fmt.Errorf("namespace %q is not a DNS label", namespace)
			}
		}
		document, err := files.Parse(raw, name, p.parse, p.panicked)
		if err != nil {
			return nil, err
		}
		source := policy.Source{Name: name, Document: document}
		if namespace == "" {
			set.Cluster = source
		} else {
			set.Namespaces[namespace] = source
		}
	}
	return &set, nil
}

// selected returns the containers to which the documents of the request would apply.
func (p *preview) selected(running []containerd.Container, request socket.PreviewRequest) []containerd.Container {
	_, others := request.Documents[""]
	own := p.current().Namespaces
	return slices.DeleteFunc(slices.Clone(running), func(container containerd.Container) bool {
		if _, named := request.Documents[container.Namespace]; named && container.Namespace != "" {
			return false
		}
		_, hasOwn := own[container.Namespace]
		return !others || hasOwn
	})
}

// previewed are the containers of a preview, with their last verdicts.
type previewed struct {
	containers []containerd.Container
	// denied are the last verdicts that do not admit, and known the containers with a verdict, by their IDs.
	denied map[string]nri.Report
	known  map[string]bool
}

func newPreviewed(containers []containerd.Container) *previewed {
	return &previewed{containers: containers, denied: make(map[string]nri.Report), known: make(map[string]bool)}
}

func (p *previewed) infos() []nri.ContainerInfo {
	infos := make([]nri.ContainerInfo, 0, len(p.containers))
	for _, container := range p.containers {
		infos = append(infos, infoOf(container))
	}
	return infos
}

// report records a verdict. A container that is denied has one report; one that is admitted has others for its image
// volumes. What only a policy in audit mode denies is admitted.
func (p *previewed) report(_ context.Context, report nri.Report) {
	p.known[report.ID] = true
	if report.Verdict.Admitted() || report.Audit {
		delete(p.denied, report.ID)
	} else {
		p.denied[report.ID] = report
	}
}

// answer returns the result. Containers without a verdict ended meanwhile, or else there was no time for them.
func (p *previewed) answer(complete bool) socket.PreviewAnswer {
	answer := socket.PreviewAnswer{Refused: []socket.PreviewContainer{}, Undecided: []socket.PreviewContainer{}}
	for _, container := range p.containers {
		report, denied := p.denied[container.ID]
		switch {
		case denied:
		case p.known[container.ID]:
			answer.Evaluated++
			continue
		case complete:
			continue
		default:
			report = nri.Report{ContainerInfo: infoOf(container), Verdict: policy.Verdict{
				Reason: policy.Pending, Detail: "there was no time to evaluate it",
			}}
		}
		answer.Evaluated++
		shown := previewContainer(report)
		if report.Verdict.Reason.Final() {
			answer.RefusedCount++
			answer.Refused = append(answer.Refused, shown)
		} else {
			answer.UndecidedCount++
			answer.Undecided = append(answer.Undecided, shown)
		}
	}
	answer.Refused, answer.Undecided = firstPreviewed(answer.Refused), firstPreviewed(answer.Undecided)
	return answer
}

func firstPreviewed(list []socket.PreviewContainer) []socket.PreviewContainer {
	slices.SortFunc(list, func(a, b socket.PreviewContainer) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Pod, b.Pod),
			strings.Compare(a.Container, b.Container), strings.Compare(a.ContainerID, b.ContainerID))
	})
	return list[:min(len(list), socket.MaxPreviewed)]
}

func previewContainer(report nri.Report) socket.PreviewContainer {
	return socket.PreviewContainer{
		Namespace: report.Namespace, Pod: report.Pod, Container: report.Name, ContainerID: report.ID,
		Volume: report.Volume, Image: report.Reference, Reason: string(report.Verdict.Reason),
		Message: nri.Message(report),
		Detail:  text.Shorten(strings.TrimSpace(report.Verdict.Detail), maxPreviewDetail),
	}
}
