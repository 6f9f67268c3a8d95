package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

func TestQuestionsAreValidated(t *testing.T) {
	good := policy.Question{Namespace: "prod", Reference: "app", Config: digestOf("config")}
	cases := map[string]struct {
		change func(*policy.Question)
		want   string
	}{
		"a complete question":      {func(*policy.Question) {}, ""},
		"a namespace of one digit": {func(q *policy.Question) { q.Namespace = "7" }, ""},
		"a namespace of 63 characters": {
			func(q *policy.Question) { q.Namespace = strings.Repeat("a", 63) }, "",
		},
		"a namespace of 64 characters": {
			func(q *policy.Question) { q.Namespace = strings.Repeat("a", 64) }, "DNS label",
		},
		"no namespace": {func(q *policy.Question) { q.Namespace = "" }, "DNS label"},
		"a namespace that climbs out of the directory": {func(q *policy.Question) { q.Namespace = "../etc" }, "DNS label"},
		"a namespace in upper case":                    {func(q *policy.Question) { q.Namespace = "Prod" }, "DNS label"},
		"no reference": {
			func(q *policy.Question) { q.Reference = "" }, "no image reference",
		},
		"a reference longer than any can be": {
			func(q *policy.Question) { q.Reference = strings.Repeat("a", 1025) }, "has 1025 bytes; the maximum is 1024",
		},
		"no config digest": {func(q *policy.Question) { q.Config = "" }, "config digest"},
		"a config digest cut short": {
			func(q *policy.Question) { q.Config = q.Config[:70] }, "config digest",
		},
		"a config digest in upper case": {
			func(q *policy.Question) { q.Config = digest.Digest("sha256:" + strings.Repeat("A", 64)) }, "config digest",
		},
		"a config digest without algorithm": {
			func(q *policy.Question) { q.Config = digest.Digest(strings.Repeat("a", 64)) }, "config digest",
		},
		"a config digest of an algorithm unknown to us": {
			func(q *policy.Question) { q.Config = "md5:d41d8cd98f00b204e9800998ecf8427e" }, "config digest",
		},
		"a config digest of sha512": {
			func(q *policy.Question) { q.Config = digest.SHA512.FromString("config") }, "",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			q := good
			c.change(&q)
			err := q.Validate()
			if c.want == "" {
				if err != nil {
					t.Fatalf("Validate() = %v, want nil", err)
				}
				return
			}
			refusal := (*policy.Refusal)(nil)
			if !errors.As(err, &refusal) || refusal.Reason != policy.BadRequest {
				t.Fatalf("Validate() = %v, want a refusal as bad request", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("Validate() = %q, want it to name the %s", err, c.want)
			}
		})
	}
}

func TestAnImageIDIsNotAName(t *testing.T) {
	full := strings.Repeat("0123456789abcdef", 4)
	cases := map[string]struct {
		reference string
		want      string
	}{
		"a full image ID":                            {"sha256:" + full, full},
		"a prefix of one":                            {"sha256:ab12", "ab12"},
		"a prefix of one digit":                      {"sha256:a", "a"},
		"64 digits alone":                            {full, full},
		"63 digits alone are a name":                 {full[1:], ""},
		"65 digits after the algorithm":              {"sha256:" + full + "a", ""},
		"an algorithm alone":                         {"sha256:", ""},
		"a tag of the repository sha256":             {"sha256:latest", ""},
		"digits in upper case":                       {"sha256:AB12", ""},
		"64 digits in upper case":                    {strings.ToUpper(full), ""},
		"another algorithm":                          {"sha512:" + full, ""},
		"the algorithm in upper case":                {"SHA256:" + full, ""},
		"a repository called sha256 in full":         {"docker.io/library/sha256:ab12", ""},
		"a name with a digest":                       {"app@sha256:" + full, ""},
		"a prefix and a space":                       {"sha256:ab12 ", ""},
		"a prefix with a letter that is not a digit": {"sha256:ab1g", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, ok := policy.Question{Reference: c.reference}.ImageID()
			if ok != (c.want != "") || ok && got != c.want {
				t.Errorf("ImageID() of %q = %q, %t, want %q", c.reference, got, ok, c.want)
			}
		})
	}
}

func TestValidNamespaceIsADNSLabelAndNothingElse(t *testing.T) {
	cases := map[string]bool{
		"default": true, "kube-system": true, "a": true, "0": true, "a-1": true, strings.Repeat("a", 63): true,
		"": false, "../etc": false, "..": false, ".": false, "a/b": false, "a.b": false, "a\x00": false, "-a": false,
		"a-": false, "A": false, "a_b": false, "é": false, "a b": false, "a\n": false, strings.Repeat("a", 64): false,
	}
	for namespace, want := range cases {
		if got := policy.ValidNamespace(namespace); got != want {
			t.Errorf("ValidNamespace(%q) = %t, want %t", namespace, got, want)
		}
	}
}

func FuzzQuestionIsDeniedUnlessItsImageIsKnown(f *testing.F) {
	pinned := repository + "@" + digestOf("x").String()
	for _, seed := range []string{"app", tagged, "sha256:ab12", pinned, "../etc", "\x00"} {
		f.Add("prod", seed, string(digestOf("config")))
	}
	n := newNode(f, acceptAnything())
	decider := newDecider(f, n.sources())
	f.Fuzz(func(t *testing.T, namespace, ref, config string) {
		q := policy.Question{Namespace: namespace, Reference: ref, Config: digest.Digest(config)}
		verdict := decider.Decide(t.Context(), q)
		if verdict.Reason == policy.Internal && q.Config == digestOf("config") {
			t.Errorf("%+v: %s", q, verdict.Detail)
		}
		if !verdict.Admitted() {
			return
		}
		id, byID := q.ImageID()
		named, err := policy.Normalize(ref)
		ownName := err == nil && named.Name() == repository
		ownID := byID && strings.HasPrefix(config, "sha256:"+id)
		if !policy.ValidNamespace(namespace) || !ownName && !ownID {
			t.Errorf("%+v is admitted, but the image was obtained as %s", q, tagged)
		}
	})
}
