package nri_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/countersign/countersign/nri"
	"github.com/countersign/countersign/policy"
)

// answer is what the pod's author reads of that verdict.
func answer(t testing.TB, info nri.ContainerInfo, verdict policy.Verdict) string {
	t.Helper()
	handler, _ := newHandler()
	handler.Decide = func(context.Context, policy.Question) policy.Verdict { return verdict }
	err := handler.Validate(t.Context(), info)
	if err == nil {
		t.Fatal("admitted")
	}
	return err.Error()
}

func TestMessages(t *testing.T) {
	const start = "SignatureValidationFailed: registry.example/app:v1: "
	tests := map[string]struct {
		verdict policy.Verdict
		want    string
	}{
		"rejected": {
			policy.Verdict{Reason: policy.Rejected, Requirement: "signedBy"},
			`the policy of namespace "prod" requires a signature and none of those found satisfies it (rejected)`,
		},
		"rejected by the requirement reject": {
			policy.Verdict{Reason: policy.Rejected, Requirement: "reject"},
			`the policy of namespace "prod" does not allow it (rejected)`,
		},
		"rejected for want of a name": {
			policy.Verdict{Reason: policy.Rejected, Requirement: "sigstoreSigned", NoIdentity: true},
			`a valid signature is there, but it names no repository: sign with cosign sign ` +
				`-a docker-reference=REPOSITORY, or have [bundles] identity = "digest" set (rejected)`,
		},
		"unsigned": {
			policy.Verdict{Reason: policy.Unsigned},
			`the policy of namespace "prod" requires a signature and none was found (unsigned)`,
		},
		"pending": {
			policy.Verdict{Reason: policy.Pending}, `decision pending; it will be retried automatically (pending)`,
		},
		"unavailable, because the image is not known": {
			policy.Verdict{Reason: policy.Unavailable}, `the image could not be examined; retried automatically (unavailable)`,
		},
		"unavailable": {
			policy.Verdict{Reason: policy.Unavailable, Requirement: "signedBy"},
			`signatures required by the policy of namespace "prod" could not be fetched; retried automatically (unavailable)`,
		},
		"invalid-policy": {
			policy.Verdict{Reason: policy.InvalidPolicy},
			`the policy of namespace "prod" cannot be used; the node's operator finds the cause in the log (invalid-policy)`,
		},
		"unknown-origin": {
			policy.Verdict{Reason: policy.UnknownOrigin},
			`the image that would run was not pulled to this node under this reference (unknown-origin)`,
		},
		"bad-request": {
			policy.Verdict{Reason: policy.BadRequest},
			`the image reference cannot be checked (bad-request)`,
		},
		"internal": {
			policy.Verdict{Reason: policy.Internal},
			`an error inside countersign; the node's operator finds the cause in the log (internal)`,
		},
		"a denial that calls itself accepted": {
			policy.Verdict{Reason: policy.Accepted},
			`an error inside countersign; the node's operator finds the cause in the log (internal)`,
		},
		"an unknown reason": {
			policy.Verdict{Reason: "moody"},
			`an error inside countersign; the node's operator finds the cause in the log (internal)`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := answer(t, sample(), test.verdict); got != start+test.want {
				t.Errorf("got\n%s\nwant\n%s", got, start+test.want)
			}
		})
	}
	for _, reason := range policy.Reasons() {
		if _, tested := tests[string(reason)]; !tested && reason != policy.Accepted {
			t.Errorf("the message of %q is not tested", reason)
		}
	}
}

func TestLongestMessages(t *testing.T) {
	tests := map[string]struct{ reference, volume string }{
		"a reference of 4 KiB":              {reference: "registry.example/" + strings.Repeat("a", 4096)},
		"the longest reference":             {reference: "registry.example/" + strings.Repeat("a", 238)},
		"in characters of several bytes":    {reference: strings.Repeat("日本語", 1365)},
		"a mount point of 4 KiB":            {reference: "app", volume: "/" + strings.Repeat("v", 4096)},
		"a mount point of nothing but BELs": {reference: "app", volume: strings.Repeat("\a", 4096)},
		"lines, and what turns text around": {reference: "app\nEvent: all is well (accepted)\r\n\u202eppa\u2028"},
		"bytes that are not text":           {reference: "app\xff\xfe" + strings.Repeat("\xc3", 300)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, reason := range policy.Reasons() {
				if reason == policy.Accepted {
					continue
				}
				info := sample()
				info.Namespace, info.Reference = strings.Repeat("n", 63), test.reference
				for _, nameless := range []bool{false, true} {
					verdict := policy.Verdict{Reason: reason, NoIdentity: nameless}
					checkMessage(t, messageOf(t, info, test.volume, verdict), expected(info, reason))
				}
			}
		})
	}
}

// messageOf is what is said of the container's image, or of a volume's if there is one.
func messageOf(t testing.TB, info nri.ContainerInfo, volume string, verdict policy.Verdict) string {
	t.Helper()
	handler, _ := newHandler()
	handler.Decide = func(ctx context.Context, q policy.Question) policy.Verdict {
		if volume != "" && q.Config == config {
			return accept(ctx, q)
		}
		return verdict
	}
	if volume != "" {
		info.Mounts = []nri.Mount{{Source: "/vol", Destination: volume}}
		handler.Volume = func(context.Context, string, string) (policy.Volume, bool, error) {
			return filesOf("sha256:aa"), true, nil
		}
	}
	err := handler.Validate(t.Context(), info)
	if err == nil {
		t.Fatal("admitted")
	}
	return err.Error()
}

// expected is the reason that is given for a denial with that reason.
func expected(info nri.ContainerInfo, reason policy.Reason) policy.Reason {
	if info.Question().Validate() != nil {
		return policy.BadRequest
	}
	if reason == policy.Accepted || !slices.Contains(policy.Reasons(), reason) {
		return policy.Internal
	}
	return reason
}

func checkMessage(t testing.TB, message string, reason policy.Reason) {
	t.Helper()
	if length := utf8.RuneCountInString(message); length >= 300 {
		t.Errorf("%d characters: %s", length, message)
	}
	if !utf8.ValidString(message) {
		t.Errorf("not UTF-8: %q", message)
	}
	if !strings.HasSuffix(message, "("+string(reason)+")") || !strings.HasPrefix(message, "SignatureValidationFailed: ") {
		t.Errorf("not of the form SignatureValidationFailed: … (%s): %q", reason, message)
	}
	if i := strings.IndexFunc(message, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("has a character that does not print, at %d: %q", i, message)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("prod", "registry.example/app:v1", "", "rejected", "signedBy")
	f.Add("prod", "app\nx", "/mnt\x00\u202e", "unavailable", "reject")
	f.Add("", "\xff", "/", "moody", "")
	f.Add("kube-system", strings.Repeat("é", 5000), strings.Repeat("\n", 300), "unavailable", "")
	f.Fuzz(func(t *testing.T, namespace, reference, volume, reason, requirement string) {
		const secret = "QXJHsecretQXJH"
		info := sample()
		info.Namespace, info.Reference = namespace, reference
		verdict := policy.Verdict{
			Reason: policy.Reason(reason), Requirement: policy.Kind(requirement),
			Detail: "detail " + secret, Scope: "scope " + secret,
			Document: "/" + secret + ".json", Reference: secret + ".example/app", Digest: digestOf("sha256:" + secret),
		}
		message := messageOf(t, info, volume, verdict)
		checkMessage(t, message, expected(info, verdict.Reason))
		if strings.Contains(message, secret) {
			t.Errorf("reveals what only the operator may know: %q", message)
		}
	})
}
