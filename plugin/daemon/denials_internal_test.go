package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

func callDecisions(
	t *testing.T, client *socket.Client, request socket.DecisionsRequest,
) socket.DecisionsAnswer {
	t.Helper()
	answer, err := socket.CallLarge[socket.DecisionsAnswer](t.Context(), client,
		socket.Large{Endpoint: socket.DecisionsEndpoint, Limit: socket.MaxDecisionsAnswer}, request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func serveDenials(t *testing.T, d *denials) *socket.Client {
	t.Helper()
	return serveTest(t, socket.DecisionsEndpoint, socket.Endpoint(d.answer))
}

func deniedIn(pod string) audit.Record {
	return audit.Record{
		Pod: pod, Question: policy.Question{Namespace: "prod", Reference: explainedReference},
		Verdict: policy.Verdict{Reason: policy.Unsigned},
	}
}

func sequences(answer socket.DecisionsAnswer) string {
	var list []string
	for _, one := range answer.Decisions {
		list = append(list, fmt.Sprintf("%d %s", one.Sequence, one.Pod))
	}
	return strings.Join(list, ", ")
}

func TestDecisionsAreReadOnce(t *testing.T) {
	d := newDenials()
	client := serveDenials(t, d)
	first := callDecisions(t, client, socket.DecisionsRequest{})
	if len(first.Decisions) != 0 || first.Sequence != 0 || first.Start == "" {
		t.Errorf("nothing was denied, and the answer is %+v", first)
	}
	d.add(deniedIn("a"), "A")
	d.add(deniedIn("b"), "B")
	second := callDecisions(t, client, socket.DecisionsRequest{Start: first.Start, After: first.Sequence})
	if got := sequences(second); got != "1 a, 2 b" || second.Sequence != 2 || second.Missed != 0 {
		t.Errorf("the answer is %+v", second)
	}
	third := callDecisions(t, client, socket.DecisionsRequest{Start: first.Start, After: 2})
	if len(third.Decisions) != 0 {
		t.Errorf("the answer is %+v", third)
	}
}

func TestARequestWaitsForADecision(t *testing.T) {
	d := newDenials()
	client := serveDenials(t, d)
	answers := make(chan socket.DecisionsAnswer)
	go func() {
		answer, err := socket.Call[socket.DecisionsAnswer](context.Background(), client, socket.DecisionsEndpoint,
			socket.DecisionsRequest{WaitSeconds: socket.MaxWaitSeconds})
		if err != nil {
			t.Error(err)
		}
		answers <- answer
	}()
	d.add(deniedIn("a"), "A")
	if got := sequences(<-answers); got != "1 a" {
		t.Errorf("the answer has %s", got)
	}
}

func TestAnotherDaemonAnswersFromTheBeginning(t *testing.T) {
	d := newDenials()
	client := serveDenials(t, d)
	wait := socket.DecisionsRequest{Start: "another", After: 7, WaitSeconds: socket.MaxWaitSeconds}
	if answer := callDecisions(t, client, wait); answer.Start != d.start || answer.Sequence != 0 {
		t.Errorf("the answer is %+v", answer)
	}
	d.add(deniedIn("a"), "A")
	for _, request := range []socket.DecisionsRequest{wait, {After: 7}} {
		if got := sequences(callDecisions(t, client, request)); got != "1 a" {
			t.Errorf("%+v: the answer has %s", request, got)
		}
	}
}

func TestDecisionsInMemoryAreLimited(t *testing.T) {
	d := newDenials()
	for i := range maxDenials + 10 {
		d.add(deniedIn(fmt.Sprint(i)), "")
	}
	client := serveDenials(t, d)
	read, missed, last := 0, uint64(0), uint64(0)
	for {
		answer := callDecisions(t, client, socket.DecisionsRequest{After: last})
		if len(answer.Decisions) == 0 {
			break
		}
		if len(answer.Decisions) > socket.MaxDecisions {
			t.Fatalf("an answer has %d decisions", len(answer.Decisions))
		}
		read, missed, last = read+len(answer.Decisions), missed+answer.Missed, answer.Sequence
	}
	if read != maxDenials || missed != 10 || last != maxDenials+10 {
		t.Errorf("read %d, missed %d, last %d", read, missed, last)
	}
}

// TestTheRecorderAddsWhatIsDenied: with the text that the pod's author reads, and nothing of the operator's.
func TestTheRecorderAddsWhatIsDenied(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	r := newRecorder(newAuditFile(conf.Audit{}, log), log, metrics.New(&debug.BuildInfo{}))
	stop := r.start(t.Context())
	report := func(pod string, audited bool, verdict policy.Verdict) {
		r.record(t.Context(), nri.Report{
			ContainerInfo: nri.ContainerInfo{
				Namespace: "prod", Pod: pod, PodUID: "uid", Name: "app", ID: "id", Reference: explainedReference,
				Config: digest.FromString("config"),
			},
			Stage: nri.Create, Audit: audited, Verdict: verdict,
		})
	}
	unsigned := policy.Verdict{Reason: policy.Unsigned, Detail: "key /etc/keys/secret.pub of another tenant"}
	report("admitted", false, policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted})
	report("pending", false, policy.Verdict{Reason: policy.Pending})
	report("refused", false, unsigned)
	report("audited", true, unsigned)
	stop()
	answer := callDecisions(t, serveDenials(t, r.denials), socket.DecisionsRequest{})
	if got := sequences(answer); got != "1 refused, 2 audited" {
		t.Fatalf("the answer has %s", got)
	}
	refused, audited := answer.Decisions[0], answer.Decisions[1]
	if refused.WouldDeny || refused.Mode != "enforce" || !audited.WouldDeny || audited.Mode != "audit" {
		t.Errorf("refused %+v, audited %+v", refused, audited)
	}
	want := `SignatureValidationFailed: ` + explainedReference +
		`: the policy of namespace "prod" requires a signature and none was found (unsigned)`
	if refused.Message != want || refused.Image != explainedReference || refused.PodUID != "uid" {
		t.Errorf("refused %+v, want the message %s", refused, want)
	}
	if strings.Contains(fmt.Sprint(answer), "secret") {
		t.Errorf("the answer names keys: %+v", answer)
	}
}
