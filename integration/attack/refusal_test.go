package attack_test

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// prefix is the beginning of every refusal by countersign; the text before it is containerd's.
const prefix = "SignatureValidationFailed: "

// refusal is the error of a refused container, as its author sees it.
type refusal struct {
	namespace, pod string
	wrote          []string // References and mount paths of volumes that the author of the pod wrote.
	text           string
}

// refusals collects all refusals in the tests.
type refusals struct {
	mutex sync.Mutex
	all   []refusal
}

func (r *refusals) add(one refusal) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.all = append(r.all, one)
}

// The reasons for which a container can be refused.
var reason = regexp.MustCompile(
	` \((rejected|unsigned|pending|unavailable|invalid-policy|unknown-origin|bad-request|internal)\)$`)

// identifying matches text that reveals images of other tenants: a repository of a registry, or a digest in full or in
// part.
var identifying = regexp.MustCompile(`localhost:\d+/[\w./:@-]+|[0-9a-f]{12,}`)

// readableRefusals checks that every refusal contains only what the tenants of a namespace may read: nothing of other
// namespaces, no reference that they did not write, no file of the node, no credentials, and not more than an event can
// show.
func (l *lab) readableRefusals(t *testing.T) {
	r := l.refusals
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if len(r.all) < 50 {
		t.Errorf("there were %d refusals: too few to mean much", len(r.all))
	}
	for _, one := range r.all {
		at := strings.Index(one.text, prefix)
		if at < 0 {
			t.Errorf("refused, and not by countersign: %s", one.text)
			continue
		}
		ours := one.text[at:]
		if length := utf8.RuneCountInString(ours); length >= 300 || !reason.MatchString(ours) {
			t.Errorf("a refusal of %d characters: %s", length, ours)
		}
		for _, secret := range l.secrets(one) {
			if strings.Contains(one.text, secret) {
				t.Errorf("a tenant of %s reads %q in: %s", one.namespace, secret, one.text)
			}
		}
		for _, found := range identifying.FindAllString(one.text, -1) {
			found = strings.TrimRight(found, ":.")
			own := func(wrote string) bool { return strings.Contains(wrote, found) }
			if !slices.ContainsFunc(one.wrote, own) {
				t.Errorf("a tenant of %s wrote %q and reads %q in: %s", one.namespace, one.wrote, found, one.text)
			}
		}
	}
	t.Logf("%d refusals were checked for what tenants may read", len(r.all))
}

func (l *lab) secrets(one refusal) []string {
	secrets := []string{l.keys, "operator.pub", l.Path(), l.PolicyDirectory(), "policy.json", password, "root:x:0:0"}
	for _, namespace := range []string{strict, lax, crowd} {
		if !strings.Contains(one.namespace, namespace) {
			secrets = append(secrets, namespace)
		}
	}
	return secrets
}
