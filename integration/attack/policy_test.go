package attack_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign/countersign/integration/node"
)

// escapingNamespace uses names that the API server does not accept for a namespace. A client that calls containerd
// directly must not escape from the policy directory with them.
func (l *lab) escapingNamespace(t *testing.T) {
	unsigned := l.push(t, "aaa/escape:v1", l.image(t, "escaped"))
	pull(t, l.Node, unsigned.Reference)
	outside := filepath.Join(filepath.Dir(l.PolicyDirectory()), "outside.json")
	if err := os.WriteFile(outside, []byte(node.Policy{Default: node.Accept()}.JSON()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, namespace := range []string{
		"../outside", "..", ".", "a/../../outside", lax + ".json", "./" + lax, lax + "/", "TENANT-LAX", "*", " ",
	} {
		t.Run(fmt.Sprintf("%q", namespace), func(t *testing.T) {
			l.refused(t, namespace, node.Container{Image: unsigned.Reference}, "bad-request")
		})
	}
}

// strangeDocuments: each affects only the namespace in its name, before and after a restart.
func (l *lab) strangeDocuments(t *testing.T) {
	_, signed := l.signed(t, "shop/strange:v1", "signed strange")
	at := func(namespace string) string { return filepath.Join(l.PolicyDirectory(), namespace+".json") }
	strange := map[string]error{
		"a-pipe":        syscall.Mkfifo(at("a-pipe"), 0o600),
		"a-pipe-linked": os.Symlink(at("a-pipe"), at("a-pipe-linked")),
		"a-folder":      os.Mkdir(at("a-folder"), 0o700),
		"endless":       os.Symlink("/dev/zero", at("endless")),
		"secrets":       os.Symlink("/etc/passwd", at("secrets")),
		"nowhere":       os.Symlink("/nonexistent", at("nowhere")),
		"in-a-circle":   os.Symlink(at("in-a-circle"), at("in-a-circle")),
		"a-tty":         os.Symlink("/dev/tty", at("a-tty")),
	}
	for namespace, err := range strange {
		if err != nil {
			t.Fatalf("making %s: %v", namespace, err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(at(namespace)); err != nil {
				t.Error(err)
			}
		})
	}
	check := func(t *testing.T) {
		t.Helper()
		for namespace := range strange {
			l.awaitDocument(t, namespace)
			decision := l.refused(t, namespace, node.Container{Image: signed.Reference}, "invalid-policy")
			if !strings.Contains(decision.Detail, at(namespace)) {
				t.Errorf("the record of %s does not name its file: %v", namespace, decision.Record)
			}
		}
		l.runs(t, l.Node, strict, signed.Reference, "signed strange")
	}
	pull(t, l.Node, signed.Reference)
	t.Run("while the daemon runs", check)
	if err := l.daemon.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("when it starts", check)
}

// awaitDocument waits until the daemon has noticed a new document.
func (l *lab) awaitDocument(t *testing.T, namespace string) {
	t.Helper()
	err := retry(t, func() (bool, error) {
		problems, err := l.daemon.Log("policy problem")
		for _, record := range problems {
			if text, _ := record["problem"].(string); strings.Contains(text, "/"+namespace+".json") {
				return true, err
			}
		}
		return false, err
	})
	if err != nil {
		t.Errorf("the daemon says nothing about the document of %s: %v", namespace, err)
	}
}
