package nri_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/containerd/nri/pkg/api"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

// The images of these tests: other has the layers of config, and alien has other layers.
const (
	other = digestOf("sha256:2222222222222222222222222222222222222222222222222222222222222222")
	alien = digestOf("sha256:3333333333333333333333333333333333333333333333333333333333333333")
)

// second is a container of a runtime that reports no images: the result of its validation, and its record afterwards.
type second struct {
	candidates []digestOf
	verdicts   map[digestOf]policy.Reason // at validation; by default, accepted
	record     policy.Record
	recordErr  error
	started    map[digestOf]policy.Reason // at the start, if other than at validation
	audit      bool
	restarted  bool // the daemon, between validation and start
}

// play validates and starts a container, and returns all reports and the results of both steps.
func (s second) play(t *testing.T) (lines []string, validated, started error) {
	t.Helper()
	handler, reported := newHandler()
	verdicts := s.verdicts
	handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
		if reason := verdicts[q.Config]; reason != "" && reason != policy.Accepted {
			return policy.Verdict{Reason: reason}
		}
		return accept(ctx, q)
	}
	handler.Content = func(_ context.Context, container policy.Container) ([]digestOf, error) {
		if container.Config == alien {
			return nil, policy.Refuse(policy.UnknownOrigin, "the layers are not those of %s", alien)
		}
		if container.Config != "" {
			return []digestOf{container.Config}, nil
		}
		if container.Reference != "registry.example/app:v1" {
			t.Errorf("asked for the image of %q", container.Reference)
		}
		return s.candidates, nil
	}
	handler.Volume = func(_ context.Context, _, source string) (policy.Volume, bool, error) {
		return filesOf(config, other), source == "/volume", nil
	}
	handler.Record = func(context.Context, string) (policy.Record, error) { return s.record, s.recordErr }
	handler.Audit = func(string) bool { return s.audit }
	w := nri.NewWithoutImages(t.Context(), handler)
	pod, container := samplePod(), sampleContainer()
	container.Image = nil
	container.Mounts = []*api.Mount{{Source: "/volume", Destination: "/data"}, {Source: "/etc/hosts", Destination: "/h"}}
	if validated = w.Validate(t.Context(), pod, container); validated == nil {
		if s.started != nil {
			verdicts = s.started
		}
		if s.restarted {
			w = nri.NewWithoutImages(t.Context(), handler)
		}
		started = w.Start(t.Context(), pod, container)
		if left := w.Validations(); left != 0 {
			t.Errorf("%d containers wait to be started after the start", left)
		}
	}
	for _, report := range reported.list() {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", report.Stage, report.Verdict.Reason, report.Volume)))
	}
	return slices.Compact(lines), validated, started
}

// TestAStartWaitsForAFinalVerdict: shortly after the daemon has started, what it knows about an image is not confirmed.
func TestAStartWaitsForAFinalVerdict(t *testing.T) {
	for name, test := range map[string]struct {
		final   policy.Reason
		refuses bool
	}{
		"the image is refused":  {policy.Unsigned, true},
		"the image is accepted": {policy.Accepted, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				handler, _ := newHandler()
				attempts := 0
				handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
					if attempts++; attempts < 4 {
						return policy.Verdict{Reason: policy.Pending}
					}
					if test.final == policy.Accepted {
						return accept(ctx, q)
					}
					return policy.Verdict{Reason: test.final}
				}
				handler.Content = func(context.Context, policy.Container) ([]digestOf, error) { return []digestOf{config}, nil }
				handler.Record = func(context.Context, string) (policy.Record, error) { return of(config), nil }
				err := nri.NewWithoutImages(t.Context(), handler).Start(t.Context(), samplePod(), sampleContainer())
				if attempts != 4 || (err != nil) != test.refuses {
					t.Errorf("after %d attempts the start returns %v", attempts, err)
				}
			})
		})
	}
}

func of(config digestOf, volumes ...policy.RecordedVolume) policy.Record {
	return policy.Record{Config: config, Volumes: volumes}
}

func data(config digestOf) policy.RecordedVolume {
	return policy.RecordedVolume{Destination: "/data", Config: config}
}

func TestStartOfAContainer(t *testing.T) {
	both := []digestOf{config, other}
	creation := []string{"creation accepted", "creation accepted /data"}
	unsigned := func(of digestOf) map[digestOf]policy.Reason { return map[digestOf]policy.Reason{of: policy.Unsigned} }
	tests := map[string]struct {
		second
		want []string // what is reported
		says string   // the error of the start; empty: it starts
	}{
		"the recorded image was validated": {
			second{candidates: []digestOf{config}, record: of(config, data(config))}, creation, "",
		},
		"it is one of several": {second{candidates: both, record: of(other)}, creation, ""},
		"it is another one, that would be accepted": {
			second{candidates: []digestOf{config}, record: of(other)},
			append(creation, "start unknown-origin"),
			"registry.example/app:v1: the image that would run is not the one that was validated (unknown-origin)",
		},
		"it has other layers": {
			second{candidates: []digestOf{config}, record: of(alien)},
			append(creation, "start unknown-origin"),
			"(unknown-origin)",
		},
		"the policy has changed": {
			second{candidates: both, record: of(other), started: unsigned(other)},
			append(creation, "start unsigned"),
			`registry.example/app:v1: the policy of namespace "prod" requires a signature and none was found (unsigned)`,
		},
		"the policy has changed for another image": {
			second{candidates: both, record: of(config), started: unsigned(other)}, creation, "",
		},
		"it cannot be decided, and is decided later": {
			second{
				candidates: both, record: of(config), started: map[digestOf]policy.Reason{config: policy.Pending},
			},
			append(creation, "running pending"), "",
		},
		"containerd does not answer": {
			second{
				candidates: both, recordErr: policy.Refuse(policy.Unavailable, "connection refused"),
			},
			append(creation, "running unavailable"), "",
		},
		"the container is gone": {
			second{candidates: both, recordErr: policy.ErrNoContainer}, creation, "",
		},
		"the image of its volume is another one": {
			second{candidates: both, record: of(config, data(alien))},
			append(creation, "start unknown-origin /data"),
			"image volume at /data: ",
		},
		"the image of its volume is not accepted": {
			second{
				candidates: []digestOf{alien}, record: of(alien, data(other)),
				started: map[digestOf]policy.Reason{config: policy.Unsigned, other: policy.Unsigned},
			},
			append(creation, "start unsigned /data"), "image volume at /data: ",
		},
		"the image of its volume has the files of one that is accepted": {
			second{candidates: []digestOf{config}, verdicts: unsigned(other), record: of(config, data(other))}, creation, "",
		},
		"its volume was named": {second{candidates: both, record: of(config, data(""))}, creation, ""},
		"the daemon was restarted": {
			second{candidates: both, record: of(config, data(config)), restarted: true}, creation, "",
		},
		"the daemon was restarted, and the image is not accepted": {
			second{candidates: both, record: of(other), started: unsigned(other), restarted: true},
			append(creation, "start unsigned"), "(unsigned)",
		},
		"the daemon was restarted, and the layers are others": {
			second{candidates: both, record: of(alien), restarted: true},
			append(creation, "start unknown-origin"),
			"(unknown-origin)",
		},
		"the daemon was restarted, and the volume is another one": {
			second{candidates: both, record: of(config, data(alien)), restarted: true},
			append(creation, "start unknown-origin /data"), "image volume at /data: ",
		},
		"audit mode has reported it": {
			second{candidates: both, verdicts: unsigned(config), record: of(config), audit: true},
			[]string{"creation unsigned"},
			"",
		},
		"audit mode reports it": {
			second{candidates: []digestOf{config}, record: of(other), audit: true},
			append(creation, "start unknown-origin"),
			"",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reported, validated, started := test.play(t)
				if validated != nil {
					t.Fatalf("the validation refuses: %v", validated)
				}
				if (started == nil) != (test.says == "") || started != nil && !strings.Contains(started.Error(), test.says) {
					t.Errorf("the start gives %v, want %q", started, test.says)
				}
				if started != nil && !strings.HasPrefix(started.Error(), "SignatureValidationFailed: ") {
					t.Errorf("the error does not begin as refusals do: %v", started)
				}
				if !slices.Equal(reported, test.want) {
					t.Errorf("reported %q, want %q", reported, test.want)
				}
			})
		})
	}
}

func TestValidationWithoutImages(t *testing.T) {
	tests := map[string]struct {
		second
		want policy.Reason
	}{
		"one of several is not accepted": {
			second{candidates: []digestOf{config, other}, verdicts: map[digestOf]policy.Reason{other: policy.Unsigned}},
			policy.Unsigned,
		},
		"one of several is not decided": {
			second{candidates: []digestOf{config, other}, verdicts: map[digestOf]policy.Reason{
				config: policy.Rejected, other: policy.Pending,
			}},
			policy.Pending,
		},
		"there is none":      {second{}, policy.UnknownOrigin},
		"there are too many": {second{candidates: slices.Repeat([]digestOf{config}, 65)}, policy.UnknownOrigin},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			reported, validated, _ := test.play(t)
			if validated == nil || !strings.HasSuffix(validated.Error(), "("+string(test.want)+")") {
				t.Errorf("the validation gives %v, want a refusal (%s)", validated, test.want)
			}
			if want := []string{"creation " + string(test.want)}; !slices.Equal(reported, want) {
				t.Errorf("reported %q, want %q", reported, want)
			}
		})
	}
}

// TestAPanicAtTheStartIsNotAVerdict: the validation has admitted the container.
func TestAPanicAtTheStartIsNotAVerdict(t *testing.T) {
	handler, _ := newHandler()
	handler.Audit = func(string) bool { panic("a fault") }
	w := nri.NewWithoutImages(t.Context(), handler)
	if err := w.Start(t.Context(), samplePod(), sampleContainer()); err != nil {
		t.Errorf("the start is refused: %v", err)
	}
}

// TestOnlySoManyValidationsAreStored: a client may create containers and never start them.
func TestOnlySoManyValidationsAreStored(t *testing.T) {
	handler, _ := newHandler()
	handler.Content = func(context.Context, policy.Container) ([]digestOf, error) { return []digestOf{config}, nil }
	w := nri.NewWithoutImages(t.Context(), handler)
	for i := range 5000 {
		container := sampleContainer()
		container.Id, container.Image = fmt.Sprintf("c%d", i), nil
		if err := w.Validate(t.Context(), samplePod(), container); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.Validations(); got != 4096 {
		t.Errorf("%d validations are stored, want 4096", got)
	}
}

func TestRunningContainersAreJudgedByTheRecord(t *testing.T) {
	tests := map[string]struct {
		record policy.Record
		err    error
		want   string
	}{
		"its image is accepted":      {of(config), nil, "[running accepted]"},
		"its image is not":           {of(other), nil, "[running unsigned]"},
		"its layers are another's":   {of(alien), nil, "[running unknown-origin]"},
		"it was removed":             {policy.Record{}, fmt.Errorf("c1: %w", policy.ErrNoContainer), "[]"},
		"containerd does not answer": {policy.Record{}, errors.New("connection refused"), "[running internal]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			handler, reported := newHandler()
			handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
				if q.Config == other {
					return policy.Verdict{Reason: policy.Unsigned}
				}
				return accept(ctx, q)
			}
			handler.Content = func(ctx context.Context, container policy.Container) ([]digestOf, error) {
				if container.Config == alien {
					return nil, policy.Refuse(policy.UnknownOrigin, "the layers are not those of %s", alien)
				}
				return content(ctx, container)
			}
			handler.Record = func(context.Context, string) (policy.Record, error) { return test.record, test.err }
			info := sample()
			info.Config, info.FoundBy = "", policy.FoundByLayers
			handler.ReviewRecords(t.Context(), []nri.ContainerInfo{info})
			got := []string{}
			for _, report := range reported.list() {
				got = append(got, fmt.Sprintf("%s %s", report.Stage, report.Verdict.Reason))
				if test.err == nil && (report.Config != test.record.Config || report.FoundBy != policy.FoundByConfig) {
					t.Errorf("reported %s, found by %q", report.Config, report.FoundBy)
				}
			}
			if fmt.Sprint(got) != test.want {
				t.Errorf("reported %v, want %v", got, test.want)
			}
		})
	}
}

func gone(context.Context, string) (policy.Record, error) {
	return policy.Record{}, policy.ErrNoContainer
}

// TestRemovedContainersAreNotReported: their root filesystem has been removed too, which proves nothing about their
// image.
func TestRemovedContainersAreNotReported(t *testing.T) {
	for name, test := range map[string]struct {
		record policy.RecordFunc
		want   int
	}{
		"it is there":    {record, 1},
		"it was removed": {gone, 0},
	} {
		t.Run(name, func(t *testing.T) {
			handler, reported := newHandler()
			handler.Content = func(context.Context, policy.Container) ([]digestOf, error) {
				return nil, policy.Refuse(policy.UnknownOrigin, "there is no such snapshot")
			}
			handler.Record = test.record
			handler.Review(t.Context(), []nri.ContainerInfo{sample()})
			if got := len(reported.list()); got != test.want {
				t.Errorf("%d reports, want %d", got, test.want)
			}
		})
	}
}

// TestRuntimeIsRolledBack: a cluster is upgraded and rolled back under a daemon that runs.
func TestRuntimeIsRolledBack(t *testing.T) {
	c := newContainerd(t)
	handler, reported := newHandler()
	handler.Record = func(context.Context, string) (policy.Record, error) { return of(other), nil }
	handler.Content = func(context.Context, policy.Container) ([]digestOf, error) {
		return []digestOf{config}, nil
	}
	var refusals []error
	s := start(t, c.socket(), handler)
	for _, version := range []string{"v2.4.2", "v2.3.7", "v2.2.9", "v2.4.2"} {
		c.version = version
		c.start(t)
		c.awaitPlugin(t)
		s.awaitRegistered(t, true)
		create := request()
		if version != "v2.4.2" {
			create.Container.Image = nil
		}
		if err := c.create(create); err != nil {
			t.Errorf("with %s: %v", version, err)
		}
		refusals = append(refusals, c.StartContainer(t.Context(), &api.StartContainerRequest{
			Pod: create.GetPod(), Container: create.GetContainer(),
		}))
		c.die()
		s.awaitRegistered(t, false)
	}
	for i, want := range []bool{false, true, true, false} {
		if got := refusals[i] != nil; got != want {
			t.Errorf("start %d: %v, want a refusal: %v", i, refusals[i], want)
		}
	}
	for i, report := range reported.await(t, 6) {
		want := []policy.FoundBy{
			policy.FoundByConfig, policy.FoundByLayers, policy.FoundByConfig, policy.FoundByLayers, policy.FoundByConfig,
			policy.FoundByConfig,
		}[i]
		if report.FoundBy != want || report.Config == "" {
			t.Errorf("report %d: %q found by %q, want by %q", i, report.Config, report.FoundBy, want)
		}
	}
}
