package lifecycle_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// watched is a namespace in audit mode.
const watched = "watched"

func (w *workshop) namespaces(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, node.DaemonConfig{Settings: map[string]map[string]any{
		"enforce.namespaces": {watched: "audit"},
	}})
	early, earlyUnsigned := l.signed(t, "shop/early:v1"), l.Push(t, "shop/early-unsigned:v1")
	l.Pull(t, early)
	l.Pull(t, earlyUnsigned)
	l.Start(t)
	t.Run("images are there before the daemon", func(t *testing.T) {
		l.runs(t, strict, early)
		l.Refused(t, strict, earlyUnsigned, "unsigned")
		l.runs(t, loose, earlyUnsigned)
	})
	t.Run("one namespace pulls and another creates", l.pulledByAnother)
	t.Run("an index is signed, or its instance, or both", l.signedIndexes)
	t.Run("the containers of a pod are evaluated one by one", l.containersOfPod)
	t.Run("a namespace in audit mode gets would_deny", l.auditMode)
	t.Run("several namespaces create at once", l.manyAtOnce)
	t.Run("what runs when the daemon starts is reported", l.alreadyRunning)
	t.Run("the registry is down when a namespace is added", l.registryDown)
}

func (l *lab) pulledByAnother(t *testing.T) {
	unsigned := l.Push(t, "shop/pulled:v1")
	l.runs(t, loose, unsigned)
	byDigest := unsigned
	byDigest.Reference = unsigned.ByDigest()
	byID := unsigned
	byID.Reference = unsigned.Config.String()
	for name, image := range map[string]node.Pushed{"by tag": unsigned, "by digest": byDigest, "by ID": byID} {
		t.Run(name, func(t *testing.T) {
			if got := l.Refused(t, strict, image, "unsigned").Document; got != l.PolicyFile(strict) {
				t.Errorf("the recorded document is %s", got)
			}
			if got := l.Refused(t, plain, image, "unsigned").Document; got != l.PolicyFile("") {
				t.Errorf("of a namespace without a document, the recorded document is %s", got)
			}
		})
	}
}

func (l *lab) auditMode(t *testing.T) {
	l.Write(t, watched, l.signatures())
	unsigned := l.Push(t, "shop/watched:v1")
	pod := l.Begin(t, watched, unsigned)
	// A pending verdict is also admitted in audit mode, and may be the first record.
	rig.Eventually(t, "a record of what would be", func() error {
		if err := l.Another(t.Context(), pod, unsigned); err != nil {
			return err
		}
		for _, decision := range rig.Must(l.Daemon.Decisions())(t) {
			if decision.Pod == pod.Pod.Name && decision.Reason == "unsigned" {
				return nil
			}
		}
		return fmt.Errorf("there is none of %s", pod.Pod.Name)
	})
	decision := l.Decided(t, pod.Pod.Name, "unsigned")
	got := fmt.Sprint(decision.Outcome, " ", decision.Record["mode"], " ", decision.Record["would_deny"])
	if got != "admit audit true" {
		t.Errorf("the record has %s: %v", got, decision.Record)
	}
	if metric := rig.Must(l.Daemon.Metrics(t.Context()))(t); !strings.Contains(metric, "countersign_would_deny_total") {
		t.Errorf("there is no metric of what would be denied:\n%s", metric)
	}
}

func (l *lab) manyAtOnce(t *testing.T) {
	signed, unsigned := l.signed(t, "shop/crowd:v1"), l.Push(t, "shop/crowd-unsigned:v1")
	l.Write(t, "crowd-strict", l.signatures())
	l.Write(t, "crowd-loose", accepting())
	l.awaitLoaded(t, "crowd-strict", "crowd-loose")
	type outcome struct {
		namespace string
		image     node.Pushed
		err       error
	}
	outcomes := make(chan outcome, 12)
	var creating sync.WaitGroup
	for _, namespace := range []string{strict, "crowd-strict", plain, loose, "crowd-loose", watched} {
		for _, image := range []node.Pushed{signed, unsigned} {
			creating.Go(func() {
				pod, err := l.RunPodUntil(t.Context(), l.Pod(namespace, image))
				outcomes <- outcome{namespace, image, err}
				if err == nil {
					_ = pod.Remove(t.Context())
				}
			})
		}
	}
	creating.Wait()
	close(outcomes)
	for o := range outcomes {
		asks := o.namespace == strict || o.namespace == "crowd-strict" || o.namespace == plain
		if asks && o.image == unsigned {
			l.says(t, o.err, "unsigned")
		} else if o.err != nil {
			t.Errorf("%s in %s should run: %v", o.image.Reference, o.namespace, o.err)
		}
	}
}

// awaitLoaded waits until the daemon has loaded the documents of namespaces.
func (l *lab) awaitLoaded(t *testing.T, namespaces ...string) {
	t.Helper()
	for _, namespace := range namespaces {
		rig.Logged(t, l.Daemon, "policies loaded", namespace)
	}
}

func (l *lab) alreadyRunning(t *testing.T) {
	signed, unsigned := l.signed(t, "shop/running:v1"), l.Push(t, "shop/running-unsigned:v1")
	l.Write(t, "older", accepting())
	l.awaitLoaded(t, "older")
	good, bad := l.Begin(t, "older", signed), l.Begin(t, "older", unsigned)
	l.Daemon.Kill()
	l.Write(t, "older", l.signatures())
	l.Start(t)
	for pod, want := range map[*node.RunningPod]string{
		good: "admit accepted false older", bad: "admit unsigned true older",
	} {
		decision, err := l.Daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
			return d.Pod == pod.Pod.Name && d.Stage == "running" && d.Reason != "pending"
		})
		rig.OK(t, err)
		got := fmt.Sprint(decision.Outcome, " ", decision.Reason, " ", decision.Record["would_deny"], " ", decision.Namespace)
		if got != want {
			t.Errorf("the record has %s; want %s: %v", got, want, decision.Record)
		}
		if printed, err := pod.Exec(t.Context(), "main", "/witness", "print", "/marker"); err != nil || printed == "" {
			t.Errorf("the container that ran does not go on: %q, %v", printed, err)
		}
	}
	// The running container is not stopped, but the next one in the namespace is refused.
	l.is(t, bad, unsigned, "unsigned")
}
