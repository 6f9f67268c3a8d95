package nri_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/nri/pkg/api"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

func TestRunningContainersAreReportedOnly(t *testing.T) {
	const running = 300
	c := newContainerd(t)
	for i := range running {
		pod, container := samplePod(), sampleContainer()
		pod.Id, container.Id = fmt.Sprintf("pod%d", i), fmt.Sprintf("c%d", i)
		container.PodSandboxId = pod.Id
		// As large as real ones: the runtime splits what is more than 4 MiB.
		container.Env = []string{fmt.Sprintf("%016384d", i)}
		c.pods, c.containers = append(c.pods, pod), append(c.containers, container)
	}
	handler, reported := newHandler()
	deciding, release := blocking(handler)
	decide := handler.Decide
	handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
		decide(ctx, q)
		return policy.Verdict{Reason: policy.Unsigned}
	}
	defer release()
	c.start(t)
	s := start(t, c.socket(), handler)
	// The runtime has its answer while the first decision has not come to an end.
	t.Logf("synchronized in %v", await(t, c.synced, "the synchronization"))
	c.awaitPlugin(t)
	s.awaitRegistered(t, true)
	await(t, deciding, "the first decision")
	if reports := reported.list(); len(reports) != 0 {
		t.Fatalf("%d reports before anything is decided", len(reports))
	}
	release()
	seen := map[string]bool{}
	for _, report := range reported.await(t, running) {
		seen[report.ID] = true
		if report.Stage != nri.Running || report.Verdict.Reason != policy.Unsigned || report.Namespace != "prod" {
			t.Fatalf("reported %+v", report)
		}
	}
	if len(seen) != running {
		t.Errorf("%d containers are reported, want %d", len(seen), running)
	}
}

func TestRunningContainerOfUnknownPod(t *testing.T) {
	c := newContainerd(t)
	c.containers = []*api.Container{sampleContainer()}
	handler, reported := newHandler()
	c.start(t)
	start(t, c.socket(), handler)
	if report := reported.await(t, 1)[0]; report.Verdict.Reason != policy.BadRequest || report.Stage != nri.Running {
		t.Errorf("reported %q in stage %q", report.Verdict.Reason, report.Stage)
	}
}

func TestPendingContainersAreLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, reported := newHandler()
		decisions := 0
		handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
			if decisions++; q.Reference == "registry.example/slow:v1" && decisions < 5 {
				return policy.Verdict{Reason: policy.Pending}
			}
			return accept(ctx, q)
		}
		slow := sample()
		slow.ID, slow.Reference = "slow", "registry.example/slow:v1"
		begin := time.Now()
		handler.Review(t.Context(), []nri.ContainerInfo{sample(), slow})
		var got []string
		for _, report := range reported.list() {
			got = append(got, fmt.Sprint(report.ID, " ", report.Verdict.Reason))
		}
		want := "[c1 accepted slow pending slow pending slow pending slow accepted]"
		if fmt.Sprint(got) != want {
			t.Errorf("reported %v, want %v", got, want)
		}
		// The first pauses are short: evidence and images are often there within a second.
		if took := time.Since(begin); took != 3500*time.Millisecond {
			t.Errorf("looked again four times in %v, want pauses of 0.5, 1 and 2 s", took)
		}
	})
}

func TestContainersThatStayPendingAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, reported := newHandler()
		handler.Decide = deny(policy.Pending)
		handler.Review(t.Context(), []nri.ContainerInfo{sample()})
		if got := len(reported.list()); got < 2 || got > 20 {
			t.Errorf("looked at %d times", got)
		}
	})
}

func TestReviewEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, reported := newHandler()
		handler.Decide = deny(policy.Pending)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			handler.Review(ctx, []nri.ContainerInfo{sample()})
		}()
		synctest.Wait()
		begin := time.Now()
		cancel()
		<-ended
		if time.Since(begin) != 0 || len(reported.list()) != 1 {
			t.Errorf("ended after %v and %d evaluations", time.Since(begin), len(reported.list()))
		}
	})
}
