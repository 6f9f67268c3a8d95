package nri_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

// asked is a handler that writes down whom it asks, in order.
type asked struct {
	*nri.Handler
	reported *reports
	calls    []string
}

func newAsked() *asked {
	a := &asked{}
	a.Handler, a.reported = newHandler()
	a.Content = func(ctx context.Context, container policy.Container) ([]digestOf, error) {
		a.calls = append(a.calls, fmt.Sprintf("content %s %.10s", container.ID, container.Config))
		return content(ctx, container)
	}
	a.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
		a.calls = append(a.calls, fmt.Sprintf("decide %s %.23s %.10s", q.Namespace, q.Reference, q.Config))
		return accept(ctx, q)
	}
	a.Volume = func(_ context.Context, sandbox, source string) (policy.Volume, bool, error) {
		a.calls = append(a.calls, fmt.Sprintf("volume %s %s", sandbox, source))
		return policy.Volume{}, false, nil
	}
	return a
}

func TestRootfsIsLookedAtEachTime(t *testing.T) {
	a := newAsked()
	decide := a.Decide
	a.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
		verdict := decide(ctx, q)
		verdict.Cached = true
		return verdict
	}
	once := []string{"content c1 sha256:111", "decide prod registry.example/app:v1 sha256:111"}
	for range 2 {
		if err := a.Validate(t.Context(), sample()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(append(slices.Clone(once), once...), a.calls); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestForeignRootfsIsRefusedBeforeAnythingElse(t *testing.T) {
	tests := map[string]struct {
		err  error
		want policy.Reason
	}{
		"it is another image's":        {policy.Refuse(policy.UnknownOrigin, "chain IDs differ"), policy.UnknownOrigin},
		"it cannot be looked at":       {errors.New("connection refused"), policy.Internal},
		"it is not looked at in time":  {fmt.Errorf("stat: %w", context.DeadlineExceeded), policy.Pending},
		"containerd is not to be had":  {policy.Refuse(policy.Unavailable, "connection refused"), policy.Unavailable},
		"even a refusal that says yes": {policy.Refuse(policy.Accepted, "no such refusal"), policy.Internal},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAsked()
			a.Content = func(context.Context, policy.Container) ([]digestOf, error) { return nil, test.err }
			info := sample()
			info.Mounts = []nri.Mount{{Source: "/a", Destination: "/b"}}
			if err := a.Validate(t.Context(), info); err == nil {
				t.Error("admitted")
			}
			if len(a.calls) != 0 {
				t.Errorf("asked %q", a.calls)
			}
			if got := a.reported.list()[0].Verdict; got.Reason != test.want || got.Admitted() {
				t.Errorf("verdict = %v %q, want a denial with %q", got.Outcome, got.Reason, test.want)
			}
		})
	}
}

// TestEveryImageThatAContainerMayRunCounts: images with the same layers differ in their entry points.
func TestEveryImageThatAContainerMayRunCounts(t *testing.T) {
	const first, second, third = digestOf("sha256:aa"), digestOf("sha256:bb"), digestOf("sha256:cc")
	tests := map[string]struct {
		configs  []digestOf
		verdicts map[digestOf]policy.Reason
		want     policy.Reason
	}{
		"none is not enough": {nil, nil, policy.UnknownOrigin},
		"the only one is accepted": {
			[]digestOf{first}, map[digestOf]policy.Reason{first: policy.Accepted}, policy.Accepted,
		},
		"the only one is refused": {
			[]digestOf{first}, map[digestOf]policy.Reason{first: policy.Unsigned}, policy.Unsigned,
		},
		"all are accepted": {
			[]digestOf{first, second, third},
			map[digestOf]policy.Reason{first: policy.Accepted, second: policy.Accepted, third: policy.Accepted},
			policy.Accepted,
		},
		"the first is refused": {
			[]digestOf{first, second},
			map[digestOf]policy.Reason{first: policy.Rejected, second: policy.Accepted},
			policy.Rejected,
		},
		"the last is refused": {
			[]digestOf{first, second, third},
			map[digestOf]policy.Reason{first: policy.Accepted, second: policy.Accepted, third: policy.Pending},
			policy.Pending,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			handler, reported := newHandler()
			handler.Content = func(context.Context, policy.Container) ([]digestOf, error) { return test.configs, nil }
			handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
				if q.Namespace != "prod" || q.Reference != "registry.example/app:v1" {
					t.Errorf("asked %v: each is evaluated under the reference that the pod names", q)
				}
				if test.verdicts[q.Config] == policy.Accepted {
					return accept(ctx, q)
				}
				return policy.Verdict{Reason: test.verdicts[q.Config]}
			}
			err := handler.Validate(t.Context(), sample())
			reason := reported.list()[0].Verdict.Reason
			if reason != test.want || (err == nil) != (reason == policy.Accepted) {
				t.Errorf("reason %q, err %v; want %q", reason, err, test.want)
			}
		})
	}
}

func TestImageVolumes(t *testing.T) {
	const first, second = digestOf("sha256:aa"), digestOf("sha256:bb")
	volumes := map[string]policy.Volume{"/vol/one": filesOf(first), "/vol/two": filesOf(second)}
	tests := map[string]struct {
		mounts   []string
		verdicts map[digestOf]policy.Reason
		want     policy.Reason
		volume   string
	}{
		"a mount of another kind": {mounts: []string{"/etc/hosts"}, want: policy.Accepted},
		"its image is accepted": {
			[]string{"/vol/one"}, map[digestOf]policy.Reason{first: policy.Accepted}, policy.Accepted, "",
		},
		"its image is not": {
			[]string{"/vol/one"}, map[digestOf]policy.Reason{first: policy.Unsigned}, policy.Unsigned, "/mnt/vol/one",
		},
		"of another pod": {
			mounts: []string{"/vol/other"}, want: policy.UnknownOrigin, volume: "/mnt/vol/other",
		},
		"each volume counts": {
			[]string{"/vol/one", "/etc/hosts", "/vol/two"},
			map[digestOf]policy.Reason{first: policy.Accepted, second: policy.Rejected},
			policy.Rejected, "/mnt/vol/two",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			handler, reported := newHandler()
			handler.Volume = func(_ context.Context, sandbox, source string) (policy.Volume, bool, error) {
				if source == "/vol/other" {
					return policy.Volume{}, true, policy.Refuse(policy.UnknownOrigin, "another sandbox's than %s", sandbox)
				}
				volume, isVolume := volumes[source]
				return volume, isVolume, nil
			}
			handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
				if q.Config == config {
					return accept(ctx, q)
				}
				if q.Namespace != "prod" || q.Reference != q.Config.String() {
					t.Errorf("asked %v: a volume's image has no other name than its ID", q)
				}
				if test.verdicts[q.Config] == policy.Accepted {
					return accept(ctx, q)
				}
				return policy.Verdict{Reason: test.verdicts[q.Config]}
			}
			info := sample()
			for _, source := range test.mounts {
				info.Mounts = append(info.Mounts, nri.Mount{Source: source, Destination: "/mnt" + source})
			}
			err := handler.Validate(t.Context(), info)
			report := reported.list()[0]
			reason := report.Verdict.Reason
			if reason != test.want || report.Volume != test.volume || (err == nil) != (reason == policy.Accepted) {
				t.Fatalf("reason %q of volume %q, err %v; want %q of %q", reason, report.Volume, err, test.want, test.volume)
			}
			if err != nil && (!strings.Contains(err.Error(), ": image volume at "+test.volume+": ") ||
				strings.Contains(err.Error(), "registry.example")) {
				t.Errorf("the message names not the mount point, or the image: %v", err)
			}
		})
	}
}

func TestEachVolumeThatIsLetInIsOnRecord(t *testing.T) {
	handler, reported := newHandler()
	handler.Volume = func(_ context.Context, _, source string) (policy.Volume, bool, error) {
		return filesOf(config), source != "/etc/hosts", nil
	}
	info := sample()
	for _, source := range []string{"/vol/one", "/etc/hosts", "/vol/two"} {
		info.Mounts = append(info.Mounts, nri.Mount{Source: source, Destination: "/mnt" + source})
	}
	if err := handler.Validate(t.Context(), info); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, report := range reported.list() {
		if !report.Verdict.Admitted() || (report.Took > 0) != (report.Volume == "") {
			t.Errorf("on record: %+v", report)
		}
		got = append(got, report.Volume)
	}
	if want := []string{"", "/mnt/vol/one", "/mnt/vol/two"}; !slices.Equal(got, want) {
		t.Errorf("reports are about %q, want %q", got, want)
	}
}

func TestVolumesAreNotLookedAtForRefusedImage(t *testing.T) {
	a := newAsked()
	a.Decide = deny(policy.Rejected)
	info := sample()
	info.Mounts = []nri.Mount{{Source: "/a", Destination: "/b"}}
	if err := a.Validate(t.Context(), info); err == nil {
		t.Error("admitted")
	}
	if diff := cmp.Diff([]string{"content c1 sha256:111"}, a.calls); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// Several creations may be validated at once; each has its own answer.
func TestConcurrentValidations(t *testing.T) {
	handler, reported := newHandler()
	handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
		if q.Namespace == "prod" {
			return policy.Verdict{Reason: policy.Unsigned}
		}
		return accept(ctx, q)
	}
	results := make(chan error)
	for i := range 50 {
		go func() {
			info := sample()
			if i%2 == 0 {
				info.Namespace = "lax"
			}
			err := handler.Validate(t.Context(), info)
			if (err == nil) != (info.Namespace == "lax") {
				results <- fmt.Errorf("namespace %s: %w", info.Namespace, err)
				return
			}
			results <- nil
		}()
	}
	for range 50 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	reported.await(t, 50)
}
