package lifecycle_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
)

// bases is a lab with a signed and an unsigned image on the node, and a pod in each namespace to which containers can
// be added.
type bases struct {
	*lab
	signed, unsigned node.Pushed
	pods             map[string]*node.RunningPod
}

func (l *lab) newBases(t *testing.T, namespaces ...string) *bases {
	t.Helper()
	b := &bases{
		lab: l, signed: l.signed(t, "shop/signed:v1"), unsigned: l.Push(t, "shop/unsigned:v1"),
		pods: make(map[string]*node.RunningPod),
	}
	for _, namespace := range append(namespaces, strict, loose, plain) {
		b.pods[namespace] = l.Begin(t, namespace, b.signed)
	}
	l.Pull(t, b.unsigned)
	l.is(t, b.pods[loose], b.unsigned, "")
	l.is(t, b.pods[strict], b.unsigned, "unsigned")
	return b
}

// others checks that the verdicts of all namespaces but these are unchanged.
func (b *bases) others(t *testing.T, but ...string) {
	t.Helper()
	for namespace, pod := range b.pods {
		if strings.Contains(strings.Join(but, " "), namespace) {
			continue
		}
		b.is(t, pod, b.signed, "")
		if namespace == strict || namespace == plain {
			b.is(t, pod, b.unsigned, "unsigned")
		}
	}
}

// invalid checks that everything in a namespace is denied, and that the record contains these words.
func (b *bases) invalid(t *testing.T, namespace string, words ...string) {
	t.Helper()
	pod := b.pods[namespace]
	for _, image := range []node.Pushed{b.signed, b.unsigned} {
		b.is(t, pod, image, "invalid-policy")
	}
	_, err := b.Daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Pod == pod.Pod.Name && d.Reason == "invalid-policy" && rig.Says(map[string]any{"detail": d.Detail}, words...)
	})
	if err != nil {
		t.Errorf("no record of %s has %q: %v", namespace, words, err)
	}
}

const edited = "edited"

func (w *workshop) policies(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, node.DaemonConfig{})
	l.Write(t, edited, accepting())
	l.Start(t)
	b := l.newBases(t, edited)
	t.Run("a document is edited after the pull", b.editedDocument)
	t.Run("a document breaks while the daemon runs, and is broken when it starts", b.brokenDocument)
	t.Run("a document is deleted after the pull", b.deletedDocument)
	t.Run("a key file cannot be read", b.unreadableKey)
	t.Run("the system's document is missing or broken", b.brokenSystem)
	t.Run("the policy directory is absent or is none", b.brokenDirectory)
}

func (b *bases) editedDocument(t *testing.T) {
	pod := b.pods[edited]
	b.is(t, pod, b.unsigned, "")
	b.Write(t, edited, b.signatures())
	b.becomes(t, pod, b.unsigned, "unsigned")
	b.Write(t, edited, node.Policy{})
	b.becomes(t, pod, b.signed, "rejected")
	b.Write(t, edited, accepting())
	b.becomes(t, pod, b.unsigned, "")
	b.others(t, edited)
}

func (b *bases) brokenDocument(t *testing.T) {
	pod, path := b.pods[edited], b.PolicyFile(edited)
	for name, document := range map[string]string{
		"cut short":      accepting().JSON()[:20],
		"an unknown key": `{"default": [{"type": "reject"}], "exceptions": []}`,
		"empty":          "",
	} {
		t.Run(name, func(t *testing.T) {
			kept := b.more(t, "policy problem", path, "earlier_version_kept:true")
			rig.OK(t, b.WritePolicy(edited, document))
			t.Run("the last good one counts", func(t *testing.T) {
				kept()
				b.is(t, pod, b.unsigned, "")
				b.others(t, edited)
			})
			t.Run("with none the namespace is denied", func(t *testing.T) {
				lacking := b.more(t, "policy problem", path, "earlier_version_kept:false")
				b.restart(t)
				lacking()
				b.invalid(t, edited, path)
				b.others(t, edited)
			})
			gone := b.more(t, "policy problem resolved", path)
			b.Write(t, edited, accepting())
			b.becomes(t, pod, b.unsigned, "")
			gone()
		})
	}
}

// deletedDocument: an editor may delete and recreate a file, so a deletion takes effect after a second.
func (b *bases) deletedDocument(t *testing.T) {
	pod := b.pods[edited]
	b.is(t, pod, b.unsigned, "")
	deleted := time.Now()
	rig.OK(t, b.RemovePolicy(edited))
	b.becomes(t, pod, b.unsigned, "unsigned")
	decision, err := b.Daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
		return d.Pod == pod.Pod.Name && d.Document == b.PolicyFile("")
	})
	rig.OK(t, err)
	if after := moment(t, decision).Sub(deleted); after < time.Second {
		t.Errorf("the system's document took over after %s", after)
	}
	b.is(t, pod, b.signed, "")
	b.others(t, edited)
	b.Write(t, edited, accepting())
	b.becomes(t, pod, b.unsigned, "")
}

// moment is the time at which a request arrived.
func moment(t *testing.T, decision node.Decision) time.Time {
	t.Helper()
	return rig.Must(time.Parse(time.RFC3339Nano, fmt.Sprint(decision.Record["time"])))(t)
}

func (b *bases) unreadableKey(t *testing.T) {
	pod, key := b.pods[edited], b.Path("edited.pub")
	good := rig.Must(os.ReadFile(b.Key.Public))(t)
	b.Write(t, edited, node.Policy{Scopes: map[string]node.Requirement{
		b.signed.Repository: node.Cosign(key), b.unsigned.Repository: node.Accept(),
	}})
	for name, spoil := range map[string]func() error{
		"absent":      func() error { return nil },
		"a directory": func() error { return os.Mkdir(key, 0o700) },
		"no key":      func() error { return os.WriteFile(key, []byte("no key"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			rig.OK(t, b.Daemon.Terminate(t.Context()))
			rig.OK(t, os.RemoveAll(key))
			rig.OK(t, spoil())
			said, started := b.more(t, "policy problem", key), time.Now()
			b.Start(t)
			said()
			b.is(t, pod, b.signed, "invalid-policy")
			_, err := b.Daemon.WaitForDecision(t.Context(), func(d node.Decision) bool {
				return d.Namespace == edited && d.Reason == "invalid-policy" && strings.Contains(d.Detail, key) &&
					moment(t, d).After(started)
			})
			if err != nil {
				t.Errorf("no record names the key: %v", err)
			}
			b.is(t, pod, b.unsigned, "")
			b.others(t, edited)
			rig.OK(t, os.RemoveAll(key))
			rig.OK(t, os.WriteFile(key, good, 0o600))
			b.becomes(t, pod, b.signed, "")
		})
	}
	b.Write(t, edited, accepting())
}

func (b *bases) brokenSystem(t *testing.T) {
	path := b.PolicyFile("")
	rig.OK(t, b.RemovePolicy(""))
	rig.Logged(t, b.Daemon, "policy problem", path, "no such file", "earlier_version_kept:true")
	b.others(t)
	b.restart(t)
	rig.Logged(t, b.Daemon, "policy problem", path, "no such file", "earlier_version_kept:false")
	b.invalid(t, plain, path, "no such file")
	b.others(t, plain)
	rig.OK(t, b.WritePolicy("", `{"default": [{"type": "insecureAcceptAnything"}]`))
	rig.Logged(t, b.Daemon, "policy problem", "parsing policy "+path)
	b.invalid(t, plain, "parsing policy "+path)
	b.restart(t)
	b.invalid(t, plain, "parsing policy "+path)
	b.others(t, plain)
	b.Write(t, "", b.signatures())
	b.becomes(t, b.pods[plain], b.signed, "")
	b.others(t)
}

func (b *bases) brokenDirectory(t *testing.T) {
	path, moved := b.PolicyDirectory(), b.Path("policies-moved")
	for name, test := range map[string]struct {
		put  func() error
		says string
	}{
		"absent":   {func() error { return nil }, "no such file or directory"},
		"a file":   {func() error { return os.WriteFile(path, []byte("{}"), 0o600) }, "not a directory"},
		"unmount":  {func() error { return os.Mkdir(path, 0o700) }, "it is empty, but held documents before"},
		"nowhere":  {func() error { return os.Symlink("/nonexistent", path) }, "no such file or directory"},
		"a device": {func() error { return os.Symlink("/dev/null", path) }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			rig.OK(t, b.Daemon.Terminate(t.Context()))
			rig.OK(t, os.Rename(path, moved))
			rig.OK(t, test.put())
			said := b.more(t, "policy problem", "reading policy directory "+path, test.says)
			b.Start(t)
			said()
			// The daemon cannot tell which namespaces have a document.
			for namespace := range b.pods {
				b.invalid(t, namespace, path, test.says)
			}
			rig.OK(t, os.RemoveAll(path))
			rig.OK(t, os.Rename(moved, path))
			b.becomes(t, b.pods[loose], b.unsigned, "")
			b.others(t)
		})
	}
}
