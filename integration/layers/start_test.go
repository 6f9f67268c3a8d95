package layers_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// TestTheCheckAtTheStart attacks the check at the start, on nodes whose containerd does not report images. On others
// there is none: the validation refuses the same requests.
func TestTheCheckAtTheStart(t *testing.T) {
	w := rig.NewWorkshop(t)
	t.Run("an event is late", func(t *testing.T) { lateEvent(t, w) })
	l := newLab(t, w, node.Config{})
	t.Run("the daemon is stopped at the start", func(t *testing.T) {
		l.missed(t, "stopped", func() { rig.OK(t, l.Daemon.Process().Signal(syscall.SIGSTOP)) },
			func() { rig.OK(t, l.Daemon.Process().Signal(syscall.SIGCONT)) })
	})
	t.Run("the daemon is killed before the start", func(t *testing.T) {
		l.missed(t, "killed", l.Daemon.Kill, func() { rig.OK(t, l.Daemon.Start()) })
	})
	t.Run("the daemon restarts before the start", l.restarted)
}

// lateEvent pulls an unsigned image of which the daemon does not learn. Its validation finds only the signed one.
func lateEvent(t *testing.T, w *rig.Workshop) {
	t.Helper()
	n := node.Start(t, node.Config{RequiredPlugins: []string{"countersign"}})
	events := newEventGate(t, n)
	l := &lab{w.On(n, node.NewRegistry(t, w.Distribution()))}
	l.begin(t, node.DaemonConfig{Settings: map[string]map[string]any{"containerd": {"address": events.address}}})
	for _, how := range []string{"by a tag", "by a moved tag"} {
		t.Run(how, func(t *testing.T) {
			images := l.newTwins(t, "late/"+strings.ReplaceAll(how, " ", "-"))
			reference := images.unsigned.Reference
			if how == "by a moved tag" {
				reference = images.signed.Repository + ":moving"
				rig.OK(t, l.moved(t.Context(), images.signed, "moving"))
			}
			pods := l.pods(t, images.signed)
			l.want(t, pods, of(images.signed, images.signed.Reference), images.marker)
			events.hold()
			defer events.release()
			l.Pull(t, images.unsigned)
			if how == "by a moved tag" {
				rig.OK(t, l.moved(t.Context(), images.unsigned, "moving"))
			}
			want := byRelease(l, "creation: unsigned", "start: unknown-origin")
			l.want(t, pods, of(images.unsigned, reference), want)
			l.want(t, pods, of(images.signed, images.signed.ByDigest()), images.marker)
			events.release()
			l.wantSoon(t, pods, of(images.unsigned, reference), "creation: unsigned")
		})
	}
}

// missed has the daemon miss the start of an image that its validation has not found, so that it runs. It is reported
// when the daemon is back.
func (l *lab) missed(t *testing.T, repository string, miss, back func()) {
	t.Helper()
	images := l.newTwins(t, repository+"/app")
	l.loseNames(t, images)
	for kind, pod := range l.pods(t, images.signed) {
		if l.Release().ImagesReported() {
			l.wantSoon(t, map[string]*node.RunningPod{kind: pod}, of(images.unsigned, images.signed.Reference),
				"creation: unknown-origin")
			continue
		}
		var id, name string
		rig.Eventually(t, "the validation to miss the image", func() (err error) {
			id, name, err = l.create(t, pod, of(images.unsigned, images.signed.Reference))
			return err
		})
		before := l.drift(t)
		miss()
		if printed, err := l.startOnly(t, pod, id, name); err != nil || printed != unsignedSays {
			back()
			t.Fatalf("without the daemon the container prints %q, %v; there is nothing to be reported", printed, err)
		}
		returned := time.Now()
		back()
		decision, err := l.Daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
			return d.Stage == "running" && d.Record["container_id"] == id && d.Record["drift"] == true
		})
		rig.OK(t, err)
		t.Logf("in %s, what started while the daemon was %s is reported %v after its return", kind, repository,
			time.Since(returned).Round(time.Millisecond))
		if decision.Reason != "unknown-origin" && decision.Reason != "unsigned" {
			t.Errorf("the record is %v", decision.Record)
		}
		rig.Logged(t, l.Daemon, "drift: a container runs that the policy refuses", id)
		rig.OK(t, l.Daemon.Ready(t.Context()))
		rig.Eventually(t, "the metric and /healthz to have the drift", func() error {
			if after := l.drift(t); repository == "stopped" && after == before || after == 0 {
				return fmt.Errorf("the metric is %v, and was %v", after, before)
			}
			return l.healthHasDrift(t)
		})
		l.remove(t, id)
		l.want(t, map[string]*node.RunningPod{kind: pod}, of(images.signed, images.signed.Reference), images.marker)
	}
}

func (l *lab) drift(t *testing.T) float64 {
	t.Helper()
	return rig.Must(l.Daemon.Metric(t.Context(), "countersign_drift_total"))(t)
}

func (l *lab) healthHasDrift(t *testing.T) error {
	t.Helper()
	text, err := l.Daemon.Health(t.Context())
	if err != nil {
		return err
	}
	var health struct {
		Drift int `json:"drift"`
	}
	if err := json.Unmarshal([]byte(text), &health); err != nil || health.Drift == 0 {
		return fmt.Errorf("/healthz has %s, %w", text, err)
	}
	return nil
}

// restarted: another process of the daemon does not know what was validated, and compares the files with the record.
func (l *lab) restarted(t *testing.T) {
	images := l.newTwins(t, "restarted/app")
	for kind, pod := range l.pods(t, images.signed) {
		id, name, err := l.create(t, pod, of(images.signed, images.signed.Reference))
		rig.OK(t, err)
		rig.OK(t, l.Daemon.Restart(t.Context()))
		if printed, err := l.start(t, pod, id, name); err != nil || printed != images.marker {
			t.Errorf("in %s the signed image prints %q, %v", kind, printed, err)
		}
	}
	l.loseNames(t, images)
	for kind, pod := range l.pods(t, images.signed) {
		if l.Release().ImagesReported() {
			continue
		}
		var id, name string
		rig.Eventually(t, "the validation to miss the image", func() (err error) {
			id, name, err = l.create(t, pod, of(images.unsigned, images.signed.Reference))
			return err
		})
		rig.OK(t, l.Daemon.Restart(t.Context()))
		if printed, err := l.start(t, pod, id, name); err == nil || reasonOf(err) != "unknown-origin" {
			t.Errorf("in %s the unsigned image prints %q, %v", kind, printed, err)
		}
	}
}
