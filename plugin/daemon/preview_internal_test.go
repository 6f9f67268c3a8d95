package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
)

func TestAPreviewEvaluatesRunningContainers(t *testing.T) {
	signed := signedDocument(t)
	for name, test := range map[string]struct {
		node      previewNode
		documents map[string]string
		evaluated int
		refused   []string
		undecided []string
	}{
		"no document": {previewNode{namespaces: []string{"prod"}}, nil, 0, nil, nil},
		"a document that admits": {
			previewNode{namespaces: []string{"prod", "dev"}}, map[string]string{"prod": acceptDocument}, 1, nil, nil,
		},
		"a document that refuses": {
			previewNode{namespaces: []string{"prod", "dev"}},
			map[string]string{"prod": rejectDocument},
			1,
			[]string{"prod/pod/app rejected"},
			nil,
		},
		"the document of namespaces without one": {
			previewNode{namespaces: []string{"prod", "dev", "own"}, own: []string{"own"}},
			map[string]string{"": rejectDocument, "prod": acceptDocument},
			2,
			[]string{"dev/pod/app rejected"},
			nil,
		},
		"a namespace that has a document gets another": {
			previewNode{namespaces: []string{"own"}, own: []string{"own"}},
			map[string]string{"own": rejectDocument},
			1,
			[]string{"own/pod/app rejected"},
			nil,
		},
		"a document that only audits": {
			previewNode{namespaces: []string{"prod"}},
			map[string]string{"prod": `{"default":[{"type":"insecureAcceptAnything"},{"type":"reject","enforcement":"audit"}]}`},
			1,
			nil,
			nil,
		},
		"there is no signature": {
			previewNode{namespaces: []string{"prod"}, state: policy.None},
			map[string]string{"prod": signed},
			1,
			[]string{"prod/pod/app unsigned"},
			nil,
		},
		"the registry does not answer": {
			previewNode{namespaces: []string{"prod"}, state: policy.Failed},
			map[string]string{"prod": signed},
			1,
			nil,
			[]string{"prod/pod/app unavailable"},
		},
		"a container has ended": {
			previewNode{namespaces: []string{"prod", "dev"}, gone: []string{"id-prod"}},
			map[string]string{"": rejectDocument},
			1,
			[]string{"dev/pod/app rejected"},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := callPreview(t, test.node.preview(t), test.documents)
			if err != nil {
				t.Fatal(err)
			}
			if answer.Evaluated != test.evaluated || answer.RefusedCount != len(test.refused) ||
				answer.UndecidedCount != len(test.undecided) {
				t.Errorf("the answer is %+v", answer)
			}
			if diff := cmp.Diff(test.refused, named(answer.Refused)); diff != "" {
				t.Errorf("refused: %s", diff)
			}
			if diff := cmp.Diff(test.undecided, named(answer.Undecided)); diff != "" {
				t.Errorf("undecided: %s", diff)
			}
		})
	}
}

func named(list []socket.PreviewContainer) (names []string) {
	for _, one := range list {
		names = append(names, fmt.Sprintf("%s/%s/%s %s", one.Namespace, one.Pod, one.Container, one.Reason))
	}
	return names
}

// TestAPreviewHasATextForTheAuthor, which names nothing but what the author wrote.
func TestAPreviewHasATextForTheAuthor(t *testing.T) {
	answer, err := callPreview(t, previewNode{namespaces: []string{"prod"}}.preview(t),
		map[string]string{"prod": rejectDocument})
	if err != nil || len(answer.Refused) != 1 {
		t.Fatalf("%+v: %v", answer, err)
	}
	want := `SignatureValidationFailed: ` + explainedReference +
		`: the policy of namespace "prod" does not allow it (rejected)`
	if one := answer.Refused[0]; one.Message != want || one.Image != explainedReference || one.Detail == "" {
		t.Errorf("refused %+v, want the message %s", one, want)
	}
}

// TestWhatIsNotDecidedInTimeIsUndecided: it is not known to be admitted.
func TestWhatIsNotDecidedInTimeIsUndecided(t *testing.T) {
	pending := previewNode{namespaces: []string{"prod", "dev"}, state: policy.Unknown}.preview(t)
	pending.timeout = 200 * time.Millisecond
	answer, err := callPreview(t, pending, map[string]string{"": signedDocument(t)})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"dev/pod/app pending", "prod/pod/app pending"}
	if diff := cmp.Diff(want, named(answer.Undecided)); diff != "" || answer.RefusedCount != 0 {
		t.Errorf("undecided: %s\nrefused: %d", diff, answer.RefusedCount)
	}
}

func TestAPreviewReadsKeyFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing.pub")
	document := `{"default":[{"type":"sigstoreSigned","keyPath":"` + missing + `"}]}`
	answer, err := callPreview(t, previewNode{namespaces: []string{"prod"}}.preview(t),
		map[string]string{"prod": document})
	if err != nil || len(answer.Refused) != 1 || !strings.Contains(answer.Refused[0].Detail, missing) {
		t.Errorf("%+v: %v", answer, err)
	}
}

func TestAPreviewOfSomethingElseIsAnError(t *testing.T) {
	p := previewNode{namespaces: []string{"prod"}}.preview(t)
	for name, test := range map[string]struct{ namespace, document, want string }{
		"no policy":            {"prod", `{}`, "parsing policy document of namespace prod"},
		"no object":            {"prod", `7`, "parsing policy document of namespace prod"},
		"an unknown key":       {"", `{"default":[{"type":"reject"}],"x":1}`, "namespaces without one of their own"},
		"a bad namespace":      {"../etc", rejectDocument, `namespace "../etc" is not a DNS label`},
		"too large a document": {"prod", `"` + strings.Repeat("x", socket.MaxPreview) + `"`, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := callPreview(t, p, map[string]string{test.namespace: test.document})
			failed, ok := errors.AsType[*socket.Error](err)
			if !ok || failed.Status != http.StatusBadRequest || !strings.Contains(failed.Message, test.want) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestAPreviewFailsIfContainersCannotBeListed(t *testing.T) {
	p := previewNode{}.preview(t)
	p.list = func(context.Context) ([]containerd.Container, error) { return nil, errors.New("containerd is down") }
	if _, err := callPreview(t, p, map[string]string{"prod": acceptDocument}); err == nil ||
		!strings.Contains(err.Error(), "containerd is down") {
		t.Errorf("the error is %v", err)
	}
}
