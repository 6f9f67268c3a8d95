package systemd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/integration/systemd"
)

// record is what tests read of a record in the audit log.
type record struct {
	Time                              time.Time
	Namespace, Pod, Container, Reason string
	ContainerID                       string `json:"container_id"`
}

// remembers restarts the daemon, which forgets its decisions, and requires that explain and audit find them in the
// journal. The restart must return when another process enforces.
func (l *lab) remembers(t *testing.T, restart func()) {
	t.Helper()
	namespace := "remembered"
	l.reject(t, namespace)
	before := l.decisions(t, namespace, "--since", "1h")
	restart()
	restarted := time.Now()

	last := before[len(before)-1]
	line := fmt.Sprintf("  %s creation of %s/pod/main: deny (rejected)", last.Time.UTC().Format(time.RFC3339), namespace)
	subjects := []string{namespace + "/pod", namespace + "/pod/main", last.ContainerID, last.ContainerID[:12]}
	for _, subject := range subjects {
		text, err := l.Run(t.Context(), "countersign", "explain", subject)
		if err == nil || !says(text, "last decisions, from the journal of countersign.service:\n", line) {
			t.Errorf("explain %s lacks %q of the journal: %v\n%s", subject, line, err, text)
		}
		if want := "denied: " + loaded + " in namespace " + namespace + " (rejected)\n"; !strings.HasPrefix(text, want) {
			t.Errorf("explain %s does not begin with %q:\n%s", subject, want, text)
		}
	}
	if after := l.decisions(t, namespace, "--since", "1h"); !slices.Equal(after, before) {
		t.Errorf("after the restart the journal has %v, before %v", after, before)
	}
	l.reject(t, namespace)
	for _, decision := range l.decisions(t, namespace, "--since", time.Since(restarted).String()) {
		if decision.Time.Before(restarted) {
			t.Errorf("audit shows a decision of %s, which is before %s", decision.Time, restarted)
		}
	}
}

// reject tries to start a pod until the system policy rejects it. The first decision about an image is pending.
func (l *lab) reject(t *testing.T, namespace string) {
	t.Helper()
	client := l.client(t)
	rig.Eventually(t, fmt.Sprintf("the refusal of %s in %s", loaded, namespace), func() error {
		err := systemd.StartPod(t.Context(), client, namespace, loaded)
		if err == nil {
			t.Fatalf("%s has started in %s", loaded, namespace)
		}
		if !strings.Contains(err.Error(), "(rejected)") {
			return err
		}
		return nil
	})
}

// decisions returns what audit shows of a namespace, the oldest first, once the last one is a rejection: records are
// written after the answer.
func (l *lab) decisions(t *testing.T, namespace string, flags ...string) (found []record) {
	t.Helper()
	arguments := append([]string{"audit", "-o", "json", "--denied", "--namespace", namespace}, flags...)
	rig.Eventually(t, "records of "+namespace, func() error {
		text, err := l.Run(t.Context(), "countersign", arguments...)
		found = nil
		for line := range strings.Lines(text) {
			one := record{}
			err = errors.Join(err, json.Unmarshal([]byte(line), &one))
			found = append(found, one)
		}
		if err == nil && (len(found) == 0 || found[len(found)-1].Reason != "rejected") {
			err = fmt.Errorf("they do not end with a rejection: %v", found)
		}
		return err
	})
	return found
}
