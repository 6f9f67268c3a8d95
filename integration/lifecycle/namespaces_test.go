package lifecycle_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/countersign/countersign/integration/node"
)

// watched is a namespace in audit mode.
const watched = "watched"

func namespaces(t *testing.T, w *workshop) {
	l := w.newLab(t, node.DaemonConfig{Settings: map[string]map[string]any{
		"enforce.namespaces": {watched: "audit"},
	}})
	early, earlyUnsigned := l.signed(t, "shop/early:v1"), l.push(t, "shop/early-unsigned:v1")
	l.pull(t, early)
	l.pull(t, earlyUnsigned)
	l.start(t)
	t.Run("images are there before the daemon", func(t *testing.T) {
		l.runs(t, strict, early)
		l.refused(t, strict, earlyUnsigned, "unsigned")
		l.runs(t, loose, earlyUnsigned)
	})
	for _, test := range []struct {
		name string
		test func(*testing.T, *lab)
	}{
		{"one namespace pulls and another creates", pulledByAnother},
		{"an index is signed, or its instance, or both", signedIndexes},
		{"the containers of a pod are judged one by one", containersOfPod},
		{"a namespace in audit mode is told what would be", auditMode},
		{"several namespaces create at once", manyAtOnce},
		{"what runs when the daemon starts is reported", alreadyRunning},
		{"the registry is down when a namespace is added", registryDown},
	} {
		t.Run(test.name, func(t *testing.T) { test.test(t, l) })
	}
}

func pulledByAnother(t *testing.T, l *lab) {
	unsigned := l.push(t, "shop/pulled:v1")
	l.runs(t, loose, unsigned)
	byDigest := unsigned
	byDigest.Reference = unsigned.ByDigest()
	byID := unsigned
	byID.Reference = unsigned.Config.String()
	for name, image := range map[string]node.Pushed{"by tag": unsigned, "by digest": byDigest, "by ID": byID} {
		t.Run(name, func(t *testing.T) {
			if got := l.refused(t, strict, image, "unsigned").Document; got != l.document(strict) {
				t.Errorf("the document on record is %s", got)
			}
			if got := l.refused(t, plain, image, "unsigned").Document; got != l.document("") {
				t.Errorf("of a namespace without a document, the document on record is %s", got)
			}
		})
	}
}

// index pushes an image for two platforms, and also returns what this machine runs of it.
func (l *lab) index(t *testing.T, name string) (index, instance node.Pushed) {
	t.Helper()
	elsewhere := v1.Platform{OS: "linux", Architecture: "s390x"}
	here := l.image(t, name)
	there := must(l.tools.ImageFor(name+" elsewhere", elsewhere))(t)
	index = must(l.registry.PushIndex(t.Context(), name, node.Index(
		node.Child{Manifest: there, Platform: &elsewhere},
		node.Child{Manifest: here, Platform: node.Linux(runtime.GOARCH)},
	)))(t)
	repository, _, _ := strings.Cut(name, ":")
	return index, must(l.registry.Push(t.Context(), repository, here))(t)
}

func signedIndexes(t *testing.T, l *lab) {
	for name, test := range map[string]struct {
		repository string
		sign       func(t *testing.T, index, instance node.Pushed)
		decides    func(index, instance node.Pushed) []string // Digests, of which one is on record.
	}{
		"the index": {
			"shop/index", func(t *testing.T, index, _ node.Pushed) { t.Helper(); l.sign(t, index, false) },
			func(index, _ node.Pushed) []string { return []string{index.Digest.String()} },
		},
		"the instance": {
			"shop/instance", func(t *testing.T, _, instance node.Pushed) { t.Helper(); l.sign(t, instance, false) },
			func(_, instance node.Pushed) []string { return []string{instance.Digest.String()} },
		},
		"both": {
			"shop/both", func(t *testing.T, index, _ node.Pushed) { t.Helper(); l.sign(t, index, true) },
			func(index, instance node.Pushed) []string {
				return []string{index.Digest.String(), instance.Digest.String()}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			index, instance := l.index(t, test.repository+":v1")
			test.sign(t, index, instance)
			decision := l.runs(t, strict, index)
			if want := test.decides(index, instance); !strings.Contains(strings.Join(want, " "), decision.Digest) {
				t.Errorf("on record is %s; want one of %s", decision.Digest, want)
			}
		})
	}
	t.Run("neither", func(t *testing.T) {
		index, _ := l.index(t, "shop/neither:v1")
		l.refused(t, strict, index, "unsigned")
	})
}

func containersOfPod(t *testing.T, l *lab) {
	signed, unsigned := l.signed(t, "shop/part:v1"), l.push(t, "shop/part-unsigned:v1")
	for _, image := range []node.Pushed{signed, unsigned} {
		l.runs(t, loose, image)
	}
	once := []string{"/witness", "print", "/marker"}
	pod := func(first, main node.Pushed) node.Pod {
		pod := l.pod(strict, main)
		pod.Init = []node.Container{{Name: "init", Image: first.Reference, Command: once}}
		return pod
	}
	about := func(t *testing.T, pod string) map[string]string {
		t.Helper()
		reasons := make(map[string]string)
		for _, decision := range must(l.daemon.Decisions())(t) {
			if decision.Pod == pod && decision.Reason != "pending" {
				reasons[decision.Container] = decision.Reason
			}
		}
		return reasons
	}
	for name, test := range map[string]struct {
		pod          node.Pod
		refused, say string
	}{
		"the init container is refused, and nothing after it is asked for": {
			pod(unsigned, signed), "init", "map[init:unsigned]",
		},
		"the init container has run, and the main one is refused": {
			pod(signed, unsigned), "main", "map[init:accepted main:unsigned]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.RunPodUntil(t.Context(), test.pod)
			l.says(t, err, "unsigned")
			if got := l.decided(t, test.pod.Name, "unsigned").Container; got != test.refused {
				t.Errorf("the container %s is refused; want %s", got, test.refused)
			}
			if got := fmt.Sprint(about(t, test.pod.Name)); got != test.say {
				t.Errorf("on record is %s; want %s", got, test.say)
			}
		})
	}
	t.Run("one that is added to a running pod is refused", func(t *testing.T) {
		running, err := l.RunPodUntil(t.Context(), pod(signed, signed))
		no(t, err)
		defer func() { no(t, running.Remove(context.WithoutCancel(t.Context()))) }()
		l.is(t, running, unsigned, "unsigned")
		l.is(t, running, signed, "")
	})
}

func auditMode(t *testing.T, l *lab) {
	l.write(t, watched, l.signatures())
	unsigned := l.push(t, "shop/watched:v1")
	pod := l.begin(t, watched, unsigned)
	// What is pending is admitted too: the first record may be that.
	eventually(t, "a record of what would be", func() error {
		if err := l.another(t.Context(), pod, unsigned); err != nil {
			return err
		}
		for _, decision := range must(l.daemon.Decisions())(t) {
			if decision.Pod == pod.Pod.Name && decision.Reason == "unsigned" {
				return nil
			}
		}
		return fmt.Errorf("there is none of %s", pod.Pod.Name)
	})
	decision := l.decided(t, pod.Pod.Name, "unsigned")
	got := fmt.Sprint(decision.Outcome, " ", decision.Record["mode"], " ", decision.Record["would_deny"])
	if got != "admit audit true" {
		t.Errorf("on record is %s: %v", got, decision.Record)
	}
	if metric := must(l.daemon.Metrics(t.Context()))(t); !strings.Contains(metric, "countersign_would_deny_total") {
		t.Errorf("there is no figure of what would be denied:\n%s", metric)
	}
}

func manyAtOnce(t *testing.T, l *lab) {
	signed, unsigned := l.signed(t, "shop/crowd:v1"), l.push(t, "shop/crowd-unsigned:v1")
	l.write(t, "crowd-strict", l.signatures())
	l.write(t, "crowd-loose", accepting())
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
				pod, err := l.RunPodUntil(t.Context(), l.pod(namespace, image))
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
		l.logged(t, l.daemon, "policies loaded", namespace)
	}
}

func alreadyRunning(t *testing.T, l *lab) {
	signed, unsigned := l.signed(t, "shop/running:v1"), l.push(t, "shop/running-unsigned:v1")
	l.write(t, "older", accepting())
	l.awaitLoaded(t, "older")
	good, bad := l.begin(t, "older", signed), l.begin(t, "older", unsigned)
	l.daemon.Kill()
	l.write(t, "older", l.signatures())
	l.start(t)
	for pod, want := range map[*node.RunningPod]string{
		good: "admit accepted false older", bad: "admit unsigned true older",
	} {
		decision, err := l.daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
			return d.Pod == pod.Pod.Name && d.Stage == "running" && d.Reason != "pending"
		})
		no(t, err)
		got := fmt.Sprint(decision.Outcome, " ", decision.Reason, " ", decision.Record["would_deny"], " ", decision.Namespace)
		if got != want {
			t.Errorf("on record is %s; want %s: %v", got, want, decision.Record)
		}
		if printed, err := pod.Exec(t.Context(), "main", "/witness", "print", "/marker"); err != nil || printed == "" {
			t.Errorf("the container that ran does not go on: %q, %v", printed, err)
		}
	}
	// It is not touched, and it has no more rights than another: its next container is refused.
	l.is(t, bad, unsigned, "unsigned")
}

func registryDown(t *testing.T, l *lab) {
	signed, unsigned := l.signed(t, "shop/kept:v1"), l.push(t, "shop/kept-unsigned:v1")
	never := l.signed(t, "shop/never:v1")
	l.runs(t, strict, signed)
	l.refused(t, strict, unsigned, "unsigned")
	l.pull(t, never)
	no(t, l.registry.Stop())
	defer func() { no(t, l.registry.Start(context.WithoutCancel(t.Context()))) }()
	check := func(t *testing.T) {
		t.Helper()
		l.runs(t, "added", signed)
		l.refused(t, "added", unsigned, "unsigned")
		decision := l.refused(t, "added", never, "unavailable")
		if !strings.Contains(decision.Detail, "refused") {
			t.Errorf("the record does not tell the cause: %v", decision.Record)
		}
	}
	t.Run("a namespace added afterwards", func(t *testing.T) {
		added := l.signatures()
		added.Default, added.Scopes = node.Reject(), map[string]node.Requirement{l.registry.Host: added.Default}
		l.write(t, "added", added)
		l.awaitLoaded(t, "added")
		check(t)
	})
	t.Run("after a restart of the daemon", func(t *testing.T) {
		l.restart(t)
		check(t)
	})
}

// lateSignature is refused first and signed then. What waits for it asks every second: a kubelet does every ten, and
// would only be later to notice.
func lateSignature(t *testing.T, l *lab) {
	late := l.push(t, "shop/late:v1")
	l.refused(t, strict, late, "unsigned")
	base := l.begin(t, strict, l.signed(t, "shop/late-base:v1"))
	l.sign(t, late, false)
	pushed := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		err := l.another(ctx, base, late)
		if err == nil {
			break
		}
		l.says(t, err, "unsigned")
		select {
		case <-ctx.Done():
			t.Fatalf("it is still refused: %v", err)
		case <-again.C:
		}
	}
	decision, err := l.daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Reference == late.Reference && d.Outcome == "admit"
	})
	no(t, err)
	admitted := must(time.Parse(time.RFC3339Nano, fmt.Sprint(decision.Record["time"])))(t)
	t.Logf("it was admitted %s after it was signed", admitted.Sub(pushed).Round(time.Millisecond))
	if admitted.Sub(pushed) > 30*time.Second {
		t.Errorf("it took %s", admitted.Sub(pushed))
	}
}
