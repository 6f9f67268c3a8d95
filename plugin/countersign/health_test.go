package main

import (
	"strings"
	"testing"

	"github.com/countersign/countersign/plugin/internal/metrics"
	"github.com/countersign/countersign/policy/files"
)

func TestPolicyAndKeyProblemsAreToldApart(t *testing.T) {
	document := files.Problem{Text: "/p/prod.json: no JSON", Path: "/p/prod.json", Namespace: "prod"}
	key := files.Problem{Text: "reading key /k/prod.pub: permission denied"}
	watching := files.Problem{Text: "watching: too many open files", Kept: true}
	for name, test := range map[string]struct {
		problems        []files.Problem
		documents, keys finding
	}{
		"all is well": {nil, finding{metrics.Yes, "3 documents"}, finding{metrics.Yes, ""}},
		"a document does not parse": {
			[]files.Problem{document}, finding{metrics.No, document.Text}, finding{metrics.Yes, ""},
		},
		"a key cannot be read": {
			[]files.Problem{key},
			finding{metrics.Yes, "3 documents"},
			finding{metrics.No, "scope registry.example of /etc/prod.json: " + key.Text},
		},
		"all of it": {
			[]files.Problem{document, key, watching},
			finding{metrics.No, document.Text + "; and 1 more, see the log"},
			finding{metrics.No, "scope registry.example of /etc/prod.json: " + key.Text},
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

// keysOf returns the requirement that a problem with a key closes, if there is such a problem.
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

func TestAContainerdThatCannotBeAskedIsUnknownAndNotANo(t *testing.T) {
	var r reloading
	r.reloader = newReloading(t, "").reloader
	d := &daemon{config: r.live.config(), live: r.live, metrics: r.metrics}
	d.logger = newLogger(d.config, r.level, &r.output)
	d.config.Containerd.Address = t.TempDir() + "/absent.sock"
	d.lookAtContainerd(t.Context(), true, &standing{})
	for _, check := range d.metrics.Health().Checks {
		if check.Status != "unknown" {
			t.Errorf("%s is %s (%s)", check.Check, check.Status, check.Cause)
		}
	}
	r.says(t, `"level":"WARN","msg":"it is unknown whether containerd requires countersign"`,
		`countersign_health_check{check="required",status="unknown"} 1`,
		`countersign_health_check{check="required",status="no"} 0`)
}
