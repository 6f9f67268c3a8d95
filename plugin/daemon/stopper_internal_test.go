package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/policy"
)

// runningNode is a node with running containers, whose names are their IDs.
type runningNode struct {
	*running
	config *conf.Config
	// mu guards refused and evaluated, which a test uses while the node runs.
	mu sync.Mutex
	// refused are the containers that the policy refuses now, of those that run.
	refused map[string]bool
	runs    []containerd.Container
	// evaluated counts evaluations of all containers, and stopped are the IDs of containers that were stopped.
	evaluated int
	stopped   []string
	fails     error
}

func newRunningNode(t *testing.T, containers int, namespace string) *runningNode {
	t.Helper()
	n := &runningNode{config: conf.Default(), refused: map[string]bool{}}
	n.config.Enforce.Running, n.config.Enforce.RunningGracePeriod = conf.RunningStop, 0
	for i := range containers {
		n.runs = append(n.runs, containerd.Container{ID: fmt.Sprint("c", i), Namespace: namespace, Name: "app"})
	}
	tracked := newDrift(func(int) {}, func() {})
	n.running = &running{
		changed: newNotifier(),
		list:    func(context.Context) ([]containerd.Container, error) { return n.runs, n.fails },
		evaluate: func(ctx context.Context, infos []nri.ContainerInfo, report func(context.Context, nri.Report)) {
			n.mu.Lock()
			defer n.mu.Unlock()
			if len(infos) == len(n.runs) {
				n.evaluated++
			}
			for _, info := range infos {
				verdict := policy.Verdict{Outcome: policy.Admit, Reason: policy.Accepted}
				if n.refused[info.ID] {
					verdict = policy.Verdict{Reason: policy.Rejected}
				}
				inAudit := n.config.Mode(info.Namespace) == conf.ModeAudit
				report(ctx, nri.Report{ContainerInfo: info, Stage: nri.Running, Verdict: verdict, Audit: inAudit})
			}
		},
		record: func(_ context.Context, report nri.Report) { tracked.record(recordOf(report)) },
		drift:  tracked,
		log:    slog.New(slog.DiscardHandler),
	}
	n.stopper = &stopper{
		config: func() *conf.Config { return n.config },
		stop: func(_ context.Context, id string) error {
			n.stopped = append(n.stopped, id)
			for i, container := range n.runs {
				if container.ID == id {
					n.runs = append(n.runs[:i:i], n.runs[i+1:]...)
					break
				}
			}
			return nil
		},
		counted: func() {},
		file:    filepath.Join(t.TempDir(), "stopped"),
		log:     slog.New(slog.DiscardHandler),
	}
	return n
}

func (n *runningNode) evaluations() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.evaluated
}

// after runs the node's evaluations for some time after a change of the policies.
func (n *runningNode) after(t *testing.T, length time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); n.run(ctx) }()
	n.changed.notify()
	time.Sleep(length)
	cancel()
	<-done
}

func TestContainersInDriftAreStoppedWithinLimits(t *testing.T) {
	for name, test := range map[string]struct {
		containers int
		namespace  string
		change     func(*runningNode)
		after      time.Duration
		want       int
	}{
		"one of ten":                {10, "prod", nil, time.Minute, 1},
		"a node has fewer than ten": {9, "prod", nil, time.Minute, 0},
		"a tenth in an hour":        {40, "prod", nil, 50 * time.Minute, 3},
		"others in the next hour":   {40, "prod", nil, 70 * time.Minute, 6},
		"nothing is stopped by default": {
			40, "prod", func(n *runningNode) { n.config.Enforce.Running = conf.RunningReport }, time.Minute, 0,
		},
		"not in audit mode": {
			40, "prod", func(n *runningNode) { n.config.Enforce.Mode = conf.ModeAudit }, time.Minute, 0,
		},
		"not in a namespace with audit mode": {40, "dev", auditing("dev"), time.Minute, 0},
		"not in kube-system":                 {40, "kube-system", nil, time.Minute, 0},
		"in kube-system, which is named":     {40, "kube-system", stopping("kube-system", conf.RunningStop), time.Minute, 3},
		"not in a namespace that is excepted": {
			40, "dev", stopping("dev", conf.RunningReport), time.Minute, 0,
		},
		"not before the grace period": {
			40, "prod", func(n *runningNode) { n.config.Enforce.RunningGracePeriod = time.Hour }, 50 * time.Minute, 0,
		},
		"after the grace period": {
			40, "prod", func(n *runningNode) { n.config.Enforce.RunningGracePeriod = time.Hour }, 61 * time.Minute, 3,
		},
		"the limit is not known": {
			40, "prod", func(n *runningNode) { n.stopper.file = "/dev/null/none" }, time.Minute, 0,
		},
		"containerd does not answer": {
			40, "prod", func(n *runningNode) { n.fails = errors.New("gone") }, time.Minute, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newRunningNode(t, test.containers, test.namespace)
				for _, container := range n.runs {
					n.refused[container.ID] = true
				}
				if test.change != nil {
					test.change(n)
				}
				n.after(t, test.after)
				if len(n.stopped) != test.want {
					t.Errorf("%d of %d containers were stopped, want %d", len(n.stopped), test.containers, test.want)
				}
			})
		})
	}
}

func auditing(namespace string) func(*runningNode) {
	return func(n *runningNode) { n.config.Enforce.Namespaces = map[string]conf.Mode{namespace: conf.ModeAudit} }
}

func stopping(namespace string, value conf.Running) func(*runningNode) {
	return func(n *runningNode) {
		n.config.Enforce.RunningNamespaces = map[string]conf.Running{namespace: value}
	}
}

// TestTheLimitHoldsAcrossARestart: the times of stops are in a file.
func TestTheLimitHoldsAcrossARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newRunningNode(t, 20, "prod")
		for _, container := range n.runs {
			n.refused[container.ID] = true
		}
		n.after(t, time.Minute)
		n.drift = newDrift(func(int) {}, func() {})
		tracked := n.drift
		n.record = func(_ context.Context, report nri.Report) { tracked.record(recordOf(report)) }
		n.after(t, time.Minute)
		// Of 20, and then of 19, one tenth is 2 and 1.
		if len(n.stopped) > 2 {
			t.Errorf("%d containers were stopped, want at most 2", len(n.stopped))
		}
		if err := os.WriteFile(n.stopper.file, []byte("["), 0o600); err != nil {
			t.Fatal(err)
		}
		before := len(n.stopped)
		n.after(t, 3*time.Hour)
		if len(n.stopped) != before {
			t.Error("containers were stopped, and their number is not known")
		}
	})
}

// TestAContainerIsEvaluatedOnceMoreBeforeItIsStopped: the policy may admit it again.
func TestAContainerIsEvaluatedOnceMoreBeforeItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newRunningNode(t, 20, "prod")
		n.config.Enforce.RunningGracePeriod = 10 * time.Minute
		n.refused["c3"] = true
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); n.run(ctx) }()
		n.changed.notify()
		time.Sleep(5 * time.Minute)
		if !n.drift.has("c3") {
			t.Error("c3 is not in drift")
		}
		n.mu.Lock()
		delete(n.refused, "c3") // Nothing notifies of it.
		n.mu.Unlock()
		time.Sleep(time.Hour)
		cancel()
		<-done
		if len(n.stopped) > 0 || n.drift.has("c3") {
			t.Errorf("stopped %s, and in drift: %t", strings.Join(n.stopped, ", "), n.drift.has("c3"))
		}
	})
}

func TestRunningContainersAreEvaluatedAfterChangesAndOnceADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newRunningNode(t, 3, "prod")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); n.run(ctx) }()
		for range 100 {
			n.changed.notify()
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		before := n.evaluations()
		if before < 1 || before > 2 {
			t.Errorf("a hundred changes in ten seconds led to %d evaluations, want 1 or 2", before)
		}
		time.Sleep(25 * time.Hour)
		if after := n.evaluations(); after != before+1 {
			t.Errorf("%d evaluations in a day without changes, want 1", after-before)
		}
		cancel()
		<-done
	})
}

// TestOnlyNewsAboutRunningContainersAreRecorded: otherwise each change of a policy would write a record for each
// container.
func TestOnlyNewsAboutRunningContainersAreRecorded(t *testing.T) {
	n := newRunningNode(t, 3, "prod")
	var records []audit.Record
	n.record = func(_ context.Context, report nri.Report) {
		records = append(records, recordOf(report))
		n.drift.record(recordOf(report))
	}
	for step, want := range []int{0, 1, 1, 2, 2} {
		n.refused["c1"] = step == 1 || step == 2
		n.evaluateAll(t.Context())
		if len(records) != want {
			t.Errorf("after step %d there are %d records, want %d", step, len(records), want)
		}
	}
}
