package layers_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// answersPerRelease is how many answers about each image there are before the next release is started.
const answersPerRelease = 10

// TestUpgradesWhileContainersAreCreated upgrades a node through all releases and back, while containers of a signed and
// of an unsigned image are created.
func TestUpgradesWhileContainersAreCreated(t *testing.T) {
	l := newLab(t, rig.NewWorkshop(t), node.Config{Containerd: node.Containerd22})
	signed := l.pushAs(t, "upgraded/app:v1", l.Image(t, "upgraded/app"))
	l.sign(t, signed)
	unsigned := l.pushAs(t, "upgraded/unsigned:v1", l.Image(t, "upgraded/unsigned"))
	l.Pull(t, unsigned)
	pod := l.started(t, l.Pod(strict, signed))
	c := &churn{lab: l, pod: pod, answers: map[string]int{}}
	l.want(t, map[string]*node.RunningPod{"a pod": pod}, of(unsigned, unsigned.Reference), "creation: unsigned")

	ctx, cancel := context.WithCancel(t.Context())
	var churning sync.WaitGroup
	for _, request := range []churned{
		{"signed", of(signed, signed.Reference), true},
		{"signed, by its ID", of(signed, signed.Config.String()), true},
		{"unsigned", of(unsigned, unsigned.Reference), false},
	} {
		churning.Go(func() { c.run(ctx, request) })
	}
	for i, release := range []node.Release{"2.2", "2.3", "2.4", "2.3", "2.2"} {
		if i > 0 {
			rig.OK(t, l.ReplaceContainerd(t.Context(), release))
		}
		rig.OK(t, l.Daemon.Ready(t.Context()))
		c.awaitAnswers(t)
		l.serves(t, release)
	}
	cancel()
	churning.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, answer := range slices.Sorted(maps.Keys(c.answers)) {
		t.Logf("%6d %s", c.answers[answer], answer)
	}
	for _, wrong := range c.wrong {
		t.Errorf("a wrong answer: %s", wrong)
	}
}

// serves waits until the daemon says that it serves a release.
func (l *lab) serves(t *testing.T, release node.Release) {
	t.Helper()
	rig.Eventually(t, "the daemon to serve "+string(release), func() error {
		text, err := l.Daemon.Health(t.Context())
		text = strings.ReplaceAll(text, "containerd v", "containerd ")
		if err == nil && !strings.Contains(text, "containerd "+string(release)) {
			err = errors.New(text)
		}
		return err
	})
}

// churned is a request that is repeated, and whether its container may start.
type churned struct {
	what string
	asks
	may bool
}

// churn repeats requests and counts the answers.
type churn struct {
	*lab
	pod *node.RunningPod

	mu      sync.Mutex
	answers map[string]int
	wrong   []string
}

func (c *churn) run(ctx context.Context, request churned) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for ctx.Err() == nil {
		started, err := c.attempt(ctx, request)
		c.count(request, started, err)
		<-pause.C
	}
}

// count counts an answer. Refusals that are not final, and failures of a containerd that is being replaced, do not
// count.
func (c *churn) count(request churned, started bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer := "started"
	if !started {
		answer = "failed"
		if strings.Contains(err.Error(), rig.RefusalPrefix) {
			answer = reasonOf(err)
		}
	}
	c.answers[request.what+": "+answer]++
	final := slices.Contains([]string{"rejected", "unsigned", "unknown-origin", "invalid-policy", "bad-request"}, answer)
	if started != request.may && (started || final) || answer == "internal" {
		c.wrong = append(c.wrong, fmt.Sprintf("%s: %s, %v", request.what, answer, err))
	}
}

// awaitAnswers waits until each request was answered often enough by the release that runs.
func (c *churn) awaitAnswers(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	before := maps.Clone(c.answers)
	c.mu.Unlock()
	rig.Eventually(t, "answers", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, answer := range []string{"signed: started", "signed, by its ID: started", "unsigned: unsigned"} {
			if got := c.answers[answer] - before[answer]; got < answersPerRelease {
				return fmt.Errorf("%q came %d times; all answers are %v", answer, got, c.answers)
			}
		}
		return nil
	})
}

func (c *churn) attempt(ctx context.Context, request churned) (started bool, err error) {
	name := fmt.Sprintf("churned-%d", c.Number())
	creation, err := c.pod.CreationRequest(ctx, node.Container{Name: name, Image: request.id, Pull: node.Never})
	if err != nil {
		return false, err
	}
	creation.Config.Image.UserSpecifiedImage = request.reference
	creation.Config.LogPath = ""
	created, err := c.CRI.Runtime.CreateContainer(ctx, creation)
	if err != nil {
		return false, err
	}
	id := created.GetContainerId()
	_, err = c.CRI.Runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: id})
	// A containerd that is being replaced does not remove it. The node does in the end.
	_, _ = c.CRI.Runtime.RemoveContainer(context.WithoutCancel(ctx), &cri.RemoveContainerRequest{ContainerId: id})
	return err == nil, err
}
