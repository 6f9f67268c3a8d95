package daemon

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy/files"
)

func TestPolicyAndKeyProblemsAreReportedSeparately(t *testing.T) {
	document := files.Problem{Text: "/p/prod.json: no JSON", Path: "/p/prod.json", Namespace: "prod"}
	key := files.Problem{Text: "reading key /k/prod.pub: permission denied"}
	watching := files.Problem{Text: "watching: too many open files", Kept: true}
	for name, test := range map[string]struct {
		problems        []files.Problem
		documents, keys healthAnswer
	}{
		"all is well": {nil, healthAnswer{metrics.Yes, "3 documents"}, healthAnswer{metrics.Yes, ""}},
		"a document does not parse": {
			[]files.Problem{document}, healthAnswer{metrics.No, document.Text}, healthAnswer{metrics.Yes, ""},
		},
		"a key cannot be read": {
			[]files.Problem{key},
			healthAnswer{metrics.Yes, "3 documents"},
			healthAnswer{metrics.No, "scope registry.example of /etc/prod.json: " + key.Text},
		},
		"all of it": {
			[]files.Problem{document, key, watching},
			healthAnswer{metrics.No, document.Text + "; and 1 more, see the log"},
			healthAnswer{metrics.No, "scope registry.example of /etc/prod.json: " + key.Text},
		},
	} {
		t.Run(name, func(t *testing.T) {
			documents, keys := policyHealth(files.Status{Documents: 3, Problems: test.problems, Keys: keysOf(test.problems)})
			if documents != test.documents || keys != test.keys {
				t.Errorf("got %v and %v, want %v and %v", documents, keys, test.documents, test.keys)
			}
		})
	}
}

// keysOf returns the requirement whose key has a problem, if there is one.
func keysOf(problems []files.Problem) (keys []files.KeyProblem) {
	for _, problem := range problems {
		if strings.Contains(problem.Text, "reading key") {
			keys = append(keys, files.KeyProblem{
				Document: "/etc/prod.json", Namespace: "prod", Scope: "registry.example", Cause: problem.Text,
			})
		}
	}
	return keys
}

func TestIfContainerdDoesNotAnswerTheStatusIsUnknown(t *testing.T) {
	var r reloading
	r.reloader = newReloading(t, "").reloader
	status := &containerdStatus{
		address: t.TempDir() + "/absent.sock", metrics: r.metrics,
		log: newLogger(r.current.config(), r.level, &r.output),
	}
	status.check(t.Context(), true)
	for _, check := range r.metrics.Health().Checks {
		if check.Status != "unknown" {
			t.Errorf("%s is %s (%s)", check.Check, check.Status, check.Cause)
		}
	}
	r.says(t, `"level":"WARN","msg":"cannot determine whether containerd requires countersign"`,
		`countersign_health_check{check="required",status="unknown"} 1`,
		`countersign_health_check{check="required",status="no"} 0`)
}
