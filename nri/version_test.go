package nri_test

import (
	"testing"

	"github.com/containerd/nri/pkg/api"
)

func TestRuntimesThatCanBeServed(t *testing.T) {
	const old = "does not tell NRI plugins which image a container runs"
	const garbage = "cannot be told to be 2.4 or later"
	tests := map[string]struct{ name, version, refusal string }{
		"the oldest":                       {"containerd", "2.4.0", ""},
		"with the v of its tag":            {"containerd", "v2.4.2", ""},
		"built by a distribution":          {"containerd", "2.4.2+unknown", ""},
		"a later one":                      {"containerd", "3.0.0", ""},
		"a minor version of two digits":    {"containerd", "2.10.1", ""},
		"2.3":                              {"containerd", "2.3.7", old},
		"2.0":                              {"containerd", "v2.0.14", old},
		"1.7":                              {"containerd", "1.7.35", old},
		"a 1 with a high minor version":    {"containerd", "1.40.0", old},
		"no version":                       {"containerd", "", garbage},
		"a word":                           {"containerd", "unknown", garbage},
		"a commit":                         {"containerd", "c0ffee2.4.2", garbage},
		"two numbers":                      {"containerd", "2.4", garbage},
		"a number that is none":            {"containerd", "2.4.x", garbage},
		"a number beyond all numbers":      {"containerd", "99999999999999999999.0.0", garbage},
		"a minor version beyond all, too":  {"containerd", "2.99999999999999999999.0", garbage},
		"a negative number":                {"containerd", "-2.4.0", garbage},
		"CRI-O":                            {"cri-o", "1.36.0", "CRI-O checks signatures itself"},
		"CRI-O with a version of the kind": {"cri-o", "2.4.0", "CRI-O checks signatures itself"},
		"no name":                          {"", "2.4.2", "countersign serves containerd"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			handler, _ := newHandler()
			listener, socket := bareSocket(t)
			s := start(t, socket, handler)
			runtime := acceptBare(t, listener)
			await(t, runtime.registered, "a registration")
			_, err := runtime.plugin.Configure(t.Context(), &api.ConfigureRequest{
				RuntimeName: test.name, RuntimeVersion: test.version, RegistrationTimeout: 5000, RequestTimeout: 2000,
			})
			if refused := test.refusal != ""; refused != (err != nil) {
				t.Fatalf("err = %v, want a refusal: %v", err, refused)
			}
			if test.refusal != "" {
				s.log.await(t, test.refusal, 1)
			}
		})
	}
}

func TestKeepsTryingWithRuntimeThatIsTooOld(t *testing.T) {
	c := newContainerd(t)
	c.version = "v2.3.7"
	c.start(t)
	handler, _ := newHandler()
	s := start(t, c.socket(), handler)
	s.log.await(t, "refusing to serve: unsupported runtime: containerd v2.3.7 does not tell", 1)
	c.die()
	c.version = "v2.4.2"
	c.start(t)
	c.awaitPlugin(t)
	if err := c.create(request()); err != nil {
		t.Error(err)
	}
}
