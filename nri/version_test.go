package nri_test

import (
	"context"
	"errors"
	"testing"

	"github.com/containerd/nri/pkg/api"

	"github.com/countersign/countersign/nri"
)

func TestRuntimesThatCanBeServed(t *testing.T) {
	const (
		refusing = "does not let NRI plugins refuse a container reliably"
		restore  = "restores containers from checkpoint images"
		garbage  = "cannot be compared with 2.2.8, 2.3.4, 2.4"
		validate = "ValidateContainerAdjustment"
		both     = "ValidateContainerAdjustment,StartContainer"
	)
	tests := map[string]struct{ name, version, subscribed, refusal string }{
		"the oldest that reports images":   {"containerd", "2.4.0", validate, ""},
		"with the v of its tag":            {"containerd", "v2.4.2", validate, ""},
		"built by a distribution":          {"containerd", "2.4.2+unknown", validate, ""},
		"a later one":                      {"containerd", "3.0.0", validate, ""},
		"a minor version of two digits":    {"containerd", "2.10.1", validate, ""},
		"a later one with a low minor":     {"containerd", "3.1.0", validate, ""},
		"2.3":                              {"containerd", "2.3.7", both, ""},
		"the oldest 2.3":                   {"containerd", "2.3.4", both, ""},
		"2.3 with a restore":               {"containerd", "2.3.3", "", restore},
		"a candidate of 2.3":               {"containerd", "2.3.0-rc.1", "", restore},
		"2.2, of a distribution":           {"containerd", "2.2.9+unknown", both, ""},
		"the oldest 2.2":                   {"containerd", "v2.2.8", both, ""},
		"2.2 with a restore":               {"containerd", "2.2.7", "", restore},
		"2.2 of two digits":                {"containerd", "2.2.10", both, ""},
		"2.1":                              {"containerd", "2.1.9", "", refusing},
		"2.0":                              {"containerd", "v2.0.14", "", refusing},
		"1.7":                              {"containerd", "1.7.35", "", refusing},
		"a 1 with a high minor version":    {"containerd", "1.40.0", "", refusing},
		"no version":                       {"containerd", "", "", garbage},
		"a word":                           {"containerd", "unknown", "", garbage},
		"a commit":                         {"containerd", "c0ffee2.4.2", "", garbage},
		"two numbers":                      {"containerd", "2.4", "", garbage},
		"a number that is none":            {"containerd", "2.4.x", "", garbage},
		"a number beyond all numbers":      {"containerd", "99999999999999999999.0.0", "", garbage},
		"a minor version beyond all, too":  {"containerd", "2.99999999999999999999.0", "", garbage},
		"a negative number":                {"containerd", "-2.4.0", "", garbage},
		"CRI-O":                            {"cri-o", "1.36.0", "", "CRI-O verifies signatures itself"},
		"CRI-O with a version of the kind": {"cri-o", "2.4.0", "", "CRI-O verifies signatures itself"},
		"no name":                          {"", "2.4.2", "", "countersign serves containerd"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			handler, _ := newHandler()
			listener, socket := bareSocket(t)
			s := start(t, socket, handler)
			runtime := acceptBare(t, listener)
			await(t, runtime.registered, "a registration")
			response, err := runtime.plugin.Configure(t.Context(), &api.ConfigureRequest{
				RuntimeName: test.name, RuntimeVersion: test.version, RegistrationTimeout: 5000, RequestTimeout: 2000,
			})
			if refused := test.refusal != ""; refused != (err != nil) {
				t.Fatalf("err = %v, want a refusal: %v", err, refused)
			}
			if test.refusal != "" {
				s.log.await(t, test.refusal, 1)
				return
			}
			want := api.MustParseEventMask(test.subscribed)
			if got := api.EventMask(response.GetEvents()); got != want {
				t.Errorf("subscribed to %s, want %s and nothing else", got.PrettyString(), want.PrettyString())
			}
		})
	}
}

func TestKeepsTryingWithRuntimeThatIsTooOld(t *testing.T) {
	c := newContainerd(t)
	c.version = "v2.1.9"
	c.start(t)
	handler, _ := newHandler()
	s := start(t, c.socket(), handler)
	s.log.await(t, "refusing to serve: unsupported runtime: containerd v2.1.9 does not let", 1)
	c.die()
	c.version = "v2.4.2"
	c.start(t)
	c.awaitPlugin(t)
	if err := c.create(request()); err != nil {
		t.Error(err)
	}
}

func TestConfigurationThatCannotBeServed(t *testing.T) {
	handler, _ := newHandler()
	listener, socket := bareSocket(t)
	plugin, log, reported := newPlugin(socket, handler)
	plugin.Unsupported = func(context.Context) error { return errors.New("restore is enabled") }
	run(t, plugin)
	runtime := acceptBare(t, listener)
	await(t, runtime.registered, "a registration")
	_, err := runtime.plugin.Configure(t.Context(), &api.ConfigureRequest{
		RuntimeName: "containerd", RuntimeVersion: "2.3.7", RegistrationTimeout: 5000, RequestTimeout: 2000,
	})
	if err == nil {
		t.Error("it is served")
	}
	if err := await(t, reported, "the registration to end"); !errors.Is(err, nri.ErrUnsupported) {
		t.Errorf("reported %v", err)
	}
	log.await(t, "level=ERROR", 1)
	log.await(t, "unsupported runtime: restore is enabled", 1)
}
