package nri_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/containerd/nri/pkg/api"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

// registered returns a runtime that has a plugin with that handler.
func registered(t testing.TB, handler *nri.Handler) (*containerd, *subject) {
	t.Helper()
	c := boot(t)
	s := start(t, c.socket(), handler)
	c.awaitPlugin(t)
	return c, s
}

func TestValidation(t *testing.T) {
	tests := map[string]struct {
		decide func(context.Context, policy.Question) policy.Verdict
		audit  bool
		want   string
	}{
		"an accepted image is created": {decide: accept},
		"a refused one is not, and its author reads why": {
			decide: deny(policy.Unsigned),
			want: `validator "10-countersign" rejected container adjustment, reason: ` +
				`SignatureValidationFailed: registry.example/app:v1: ` +
				`the policy of namespace "prod" requires a signature and none was found (unsigned)`,
		},
		"a refused one is created where the mode is audit":   {decide: deny(policy.Unsigned), audit: true},
		"an accepted one is created where the mode is audit": {decide: accept, audit: true},
		"a panic refuses": {
			decide: func(context.Context, policy.Question) policy.Verdict { panic("a fault") },
			want: `validator "10-countersign" rejected container adjustment, reason: ` +
				`SignatureValidationFailed: registry.example/app:v1: ` +
				`an error inside countersign; the node's operator finds the cause in the log (internal)`,
		},
		"a verdict that says nothing refuses": {
			decide: func(context.Context, policy.Question) policy.Verdict { return policy.Verdict{} },
			want: `validator "10-countersign" rejected container adjustment, reason: ` +
				`SignatureValidationFailed: registry.example/app:v1: ` +
				`an error inside countersign; the node's operator finds the cause in the log (internal)`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			handler, reported := newHandler()
			handler.Decide = test.decide
			handler.Audit = func(namespace string) bool { return test.audit && namespace == "prod" }
			c, _ := registered(t, handler)
			got := ""
			if err := c.create(request()); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("the runtime says\n%s\nwant\n%s", got, test.want)
			}
			report := reported.await(t, 1)[0]
			denied := !report.Verdict.Admitted()
			wouldDeny := report.Audit && !report.Verdict.Admitted()
			if report.Stage != nri.Create || wouldDeny != (denied && test.audit) || report.Pod != "app-0" {
				t.Errorf("reported stage %q, would deny %v, pod %q", report.Stage, wouldDeny, report.Pod)
			}
		})
	}
}

func TestNothingIsCreatedWithoutPlugin(t *testing.T) {
	c := boot(t)
	if err := c.create(request()); err == nil {
		t.Error("the runtime created a container although the plugin it requires is not there")
	}
}

// A runtime that stops waiting for an answer must treat that as a refusal, for each event: this is why the decision is
// made in the validation.
func TestAnswerThatNeverComesRefuses(t *testing.T) {
	requestTimeout(t, 200*time.Millisecond)
	handler, _ := newHandler()
	release := make(chan struct{})
	// The decision itself has a deadline. This hangs where none reaches.
	handler.Audit = func(string) bool {
		<-release
		return false
	}
	c, s := registered(t, handler)
	s.awaitRegistered(t, true)
	if err := c.create(request()); err == nil {
		t.Error("a container was created before its image was accepted")
	}
	close(release)
	// The runtime disconnects a plugin for that, so the plugin has to connect again.
	s.awaitRegistered(t, true)
	c.awaitPlugin(t)
	if err := c.create(request()); err != nil {
		t.Errorf("after registering again: %v", err)
	}
}

// TestAnswerComesBeforeTheRuntimeGivesUp although the layers cannot be looked at, or the image's evidence takes long to
// judge: neither happens in the callback.
func TestAnswerComesBeforeTheRuntimeGivesUp(t *testing.T) {
	for name, hang := range map[string]func(handler *nri.Handler, release <-chan struct{}){
		"while the content hangs": func(handler *nri.Handler, release <-chan struct{}) {
			handler.Content = func(ctx context.Context, container policy.Container) ([]digestOf, error) {
				<-release
				return content(ctx, container)
			}
		},
		"while the judgement hangs": func(handler *nri.Handler, release <-chan struct{}) {
			handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
				<-release
				return accept(ctx, q)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			handler, _ := newHandler()
			handler.Deadline = policy.NewDeadline(20 * time.Millisecond)
			release := make(chan struct{})
			defer close(release)
			hang(handler, release)
			c, _ := registered(t, handler)
			for range 2 {
				err := c.create(request())
				if err == nil || !strings.HasSuffix(err.Error(), "(pending)") {
					t.Fatalf("err = %v, want a refusal that ends in (pending)", err)
				}
			}
		})
	}
}

func TestSubscribesToTheValidationOnly(t *testing.T) {
	handler, _ := newHandler()
	listener, socket := bareSocket(t)
	start(t, socket, handler)
	runtime := acceptBare(t, listener)
	request := await(t, runtime.registered, "a registration")
	if request.GetPluginName() != "countersign" || request.GetPluginIdx() != "10" {
		t.Errorf("registered as %s-%s", request.GetPluginIdx(), request.GetPluginName())
	}
	response := runtime.configure(t)
	want := api.MustParseEventMask("ValidateContainerAdjustment")
	if got := api.EventMask(response.GetEvents()); got != want {
		t.Errorf("subscribed to %s, want %s and nothing else", got.PrettyString(), want.PrettyString())
	}
	// From NRI 0.12.4 on.
	if policy := response.GetFailurePolicy(); !policy.GetFailRequest() || !policy.GetKeepConnected() {
		t.Errorf("failure policy = %v, want that requests fail and the connection stays", policy)
	}
}
