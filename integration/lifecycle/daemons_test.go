package lifecycle_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

func (w *workshop) daemons(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, node.DaemonConfig{})
	l.Start(t)
	b := l.newBases(t)
	t.Run("it is killed while containers are created", b.killedInBetween)
	t.Run("its stored signatures are damaged", b.damagedEvidence)
	t.Run("two of them run at once", b.twoAtOnce)
	t.Run("the disk is full", b.fullDisk)
}

// attempt is one attempt to create a container.
type attempt struct {
	image        node.Pushed
	began, ended time.Time
	err          error
}

// crowd creates containers of images in one pod, with one worker for each image, until it is stopped.
type crowd struct {
	mutex    sync.Mutex
	attempts []attempt
}

func (c *crowd) work(ctx context.Context, l *lab, pod *node.RunningPod, image node.Pushed) {
	for ctx.Err() == nil {
		began := time.Now()
		// Complete the current attempt, so that no container is left.
		err := l.Another(context.WithoutCancel(ctx), pod, image)
		c.mutex.Lock()
		c.attempts = append(c.attempts, attempt{image, began, time.Now(), err})
		c.mutex.Unlock()
	}
}

// await waits for a number of attempts of each image that started after a time and satisfy a condition.
func (c *crowd) await(t *testing.T, after time.Time, count int, condition func(attempt) bool, images ...node.Pushed) {
	t.Helper()
	rig.Eventually(t, "attempts", func() error {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		found := make(map[node.Pushed]int)
		for _, attempt := range c.attempts {
			if attempt.began.After(after) && condition(attempt) {
				found[attempt.image]++
			}
		}
		for _, image := range images {
			if found[image] < count {
				return errors.New("there were not enough of " + image.Reference)
			}
		}
		return nil
	})
}

func (b *bases) killedInBetween(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	defer working.Wait()
	defer stop()
	c := &crowd{}
	for _, image := range []node.Pushed{b.signed, b.unsigned} {
		working.Go(func() { c.work(ctx, b.lab, b.pods[strict], image) })
	}
	every := func(attempt) bool { return true }
	created := func(a attempt) bool { return a.err == nil }
	c.await(t, time.Time{}, 3, created, b.signed)
	c.await(t, time.Time{}, 3, every, b.unsigned)
	b.Daemon.Kill()
	killed := time.Now()
	c.await(t, killed, 5, every, b.signed, b.unsigned)
	back := time.Now()
	b.Start(t)
	c.await(t, back, 3, created, b.signed)
	c.await(t, back, 3, func(a attempt) bool { return rig.IsRefused(a.err, "unsigned") }, b.unsigned)
	stop()
	working.Wait()
	for _, attempt := range c.attempts {
		if attempt.err == nil && attempt.image == b.unsigned {
			t.Error("an unsigned image was admitted")
		}
		if attempt.err == nil && attempt.began.After(killed) && attempt.ended.Before(back) {
			t.Error("a container was created while the daemon was stopped")
		}
	}
	b.others(t)
}

// evidenceOf returns the directory in which the daemon stores the evidence of a manifest in its repository.
func (l *lab) evidenceOf(t *testing.T, image node.Pushed) string {
	t.Helper()
	pattern := filepath.Join(l.Daemon.EvidenceDirectory(), "v*", "sha256", image.Digest.Encoded(), "*")
	found := rig.Must(filepath.Glob(pattern))(t)
	if len(found) != 1 {
		t.Fatalf("evidence of %s is in %v", image.Reference, found)
	}
	return found[0]
}

func (b *bases) damagedEvidence(t *testing.T) {
	second := b.lab.signed(t, "shop/signed:v2")
	b.runs(t, strict, second)
	signed, unsigned, other := b.evidenceOf(t, b.signed), b.evidenceOf(t, b.unsigned), b.evidenceOf(t, second)
	swap := func(a, b string) error {
		return errors.Join(os.Rename(a, a+"-moved"), os.Rename(b, a), os.Rename(a+"-moved", b))
	}
	for name, damage := range map[string]func() error{
		"every file is cut short":                       func() error { return cut(signed, unsigned) },
		"swapped with those of an unsigned image":       func() error { return swap(signed, unsigned) },
		"swapped with those of another signed image":    func() error { return swap(signed, other) },
		"those of an unsigned image are a signed one's": func() error { return replace(unsigned, signed) },
		"gone": func() error { return os.RemoveAll(b.Daemon.EvidenceDirectory()) },
		"a file in place of the directory": func() error {
			return errors.Join(os.RemoveAll(signed), os.WriteFile(signed, []byte("{}"), 0o600))
		},
	} {
		check := func(t *testing.T) {
			t.Helper()
			b.others(t)
			b.is(t, b.pods[strict], second, "")
		}
		t.Run(name, func(t *testing.T) {
			rig.OK(t, b.Daemon.Terminate(t.Context()))
			rig.OK(t, damage())
			b.Start(t)
			check(t)
			b.restart(t)
			check(t)
		})
	}
}

// cut truncates every file below directories to half its length.
func cut(directories ...string) error {
	var failures error
	for _, directory := range directories {
		failures = errors.Join(failures, filepath.WalkDir(directory, func(path string, entry os.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			return os.Truncate(path, info.Size()/2)
		}))
	}
	return failures
}

// replace replaces a directory with a copy of another one.
func replace(directory, by string) error {
	return errors.Join(os.RemoveAll(directory), os.CopyFS(directory, os.DirFS(by)))
}

func (b *bases) twoAtOnce(t *testing.T) {
	second := b.PrepareDaemon(t, node.DaemonConfig{Settings: map[string]map[string]any{
		"evidence": {"directory": b.Daemon.EvidenceDirectory()},
	}})
	rig.OK(t, second.Start())
	rig.OK(t, second.Ready(t.Context()))
	rig.Logged(t, second, "evidence is stored in memory only, and is lost at a restart", "another process uses it")
	b.others(t)
	// NRI calls one plugin after the other until one refuses: both must admit.
	for _, daemon := range []*node.Daemon{b.Daemon, second} {
		_, err := daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
			return d.Pod == b.pods[strict].Pod.Name && d.Stage == "creation" && d.Reason == "accepted"
		})
		if err != nil {
			t.Errorf("one of the two is not asked: %v", err)
		}
	}
	rig.OK(t, second.Terminate(t.Context()))
	b.others(t)

	same := b.PrepareDaemon(t, node.DaemonConfig{Settings: map[string]map[string]any{
		"listen": {"metrics": b.Daemon.MetricsAddress},
	}})
	rig.OK(t, same.Start())
	code, err := same.Wait(t.Context())
	if err != nil || code == 0 {
		t.Errorf("a daemon with the address of another ends with %d, %v", code, err)
	}
	_ = same.Terminate(t.Context()) // It has already exited with an error.
	said := string(rig.Must(os.ReadFile(same.LogFile()))(t))
	if !strings.Contains(said, "countersign: ") || !strings.Contains(said, "address already in use") {
		t.Errorf("a daemon with the address of another says:\n%s", said)
	}
	b.others(t)
}
