package daemon

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

// decided is the record of a decision about a container, some minutes after the first one.
func decided(minutes int, pod, container, id string, reason policy.Reason) audit.Record {
	start := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	return audit.Record{
		Time: start.Add(time.Duration(minutes) * time.Minute), Stage: audit.Creation,
		Question: policy.Question{Namespace: "prod", Reference: "registry.example/" + container},
		Verdict:  policy.Verdict{Reason: reason}, Pod: pod, Container: container, ContainerID: id,
	}
}

func TestTheLastDecisionsOfEachContainerAreFound(t *testing.T) {
	known := newDecisions()
	for _, record := range []audit.Record{
		decided(1, "web", "app", "aaaa1111", policy.Pending),
		decided(2, "web", "sidecar", "bbbb1111", policy.Accepted),
		decided(3, "web", "app", "aaaa2222", policy.Unsigned),
		decided(4, "api", "app", "cccc1111", policy.Rejected),
	} {
		known.add(record)
	}
	for name, test := range map[string]struct {
		about   Subject
		want    []string
		telling string
	}{
		"a pod": {
			Subject{Namespace: "prod", Pod: "web"},
			[]string{"aaaa2222 unsigned", "bbbb1111 accepted", "aaaa1111 pending"},
			"aaaa2222 unsigned",
		},
		"a container of it": {
			Subject{Namespace: "prod", Pod: "web", Container: "app"},
			[]string{"aaaa2222 unsigned", "aaaa1111 pending"},
			"aaaa2222 unsigned",
		},
		"one that was admitted": {
			Subject{Namespace: "prod", Pod: "web", Container: "sidecar"}, []string{"bbbb1111 accepted"}, "bbbb1111 accepted",
		},
		"an abbreviated ID": {
			Subject{ContainerID: "cccc"}, []string{"cccc1111 rejected"}, "cccc1111 rejected",
		},
		"a pod of another namespace":         {Subject{Namespace: "dev", Pod: "web"}, nil, ""},
		"a pod whose name only begins alike": {Subject{Namespace: "prod", Pod: "we"}, nil, ""},
		"nothing":                            {Subject{}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			found := known.about(test.about)
			for _, past := range found {
				got = append(got, past.ContainerID+" "+past.Reason)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			telling := ""
			if past, ok := MostTelling(found); ok {
				telling = past.ContainerID + " " + past.Reason
			}
			if telling != test.telling {
				t.Errorf("the most telling is %q, want %q", telling, test.telling)
			}
		})
	}
}

func TestARefusedContainerMattersMoreThanOneThatRuns(t *testing.T) {
	known := newDecisions()
	known.add(decided(1, "web", "app", "a", policy.Unsigned))
	known.add(decided(2, "web", "sidecar", "b", policy.Accepted))
	known.add(decided(3, "web", "init", "c", policy.Rejected))
	known.add(decided(4, "web", "init", "d", policy.Accepted))
	if past, _ := MostTelling(known.about(Subject{Namespace: "prod", Pod: "web"})); past.Container != "app" {
		t.Errorf("the most telling decision is about %q, want app: init was accepted after its refusal", past.Container)
	}
}

func TestTheMemoryOfDecisionsIsBounded(t *testing.T) {
	known := newDecisions()
	for i := range 2 * maxSubjects {
		known.add(decided(i, fmt.Sprint("pod-", i), "app", fmt.Sprint(i), policy.Accepted))
	}
	for i := range 100 {
		known.add(decided(i, "crashing", "app", fmt.Sprint("x", i), policy.Unsigned))
	}
	if got := known.known.Len(); got != maxSubjects {
		t.Errorf("%d containers are known, want %d", got, maxSubjects)
	}
	if got := len(known.about(Subject{Namespace: "prod", Pod: "crashing"})); got != maxDecisionsPerSubject {
		t.Errorf("%d decisions about one container are known, want %d", got, maxDecisionsPerSubject)
	}
	if got := len(known.about(Subject{Namespace: "prod", Pod: fmt.Sprint("pod-", 2*maxSubjects-1)})); got != 1 {
		t.Errorf("%d decisions about the last pod are known, want 1: a container that crashes removes no other", got)
	}
}
