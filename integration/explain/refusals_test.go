package explain_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/countersign/countersign/integration/node"
	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/bundle/bundletest"
)

// refusal is a pod, and how explain must explain it.
type refusal struct {
	// namespace and image are the pod's. The pod is named after the key of the table.
	namespace string
	image     node.Pushed
	reason    string
	status    int
	// words must be in the explanation.
	words []string
}

// refusals runs a pod for each reason and each kind of requirement that is not met. Their explanations are those in
// docs/troubleshooting.md.
func (l *lab) refusals(t *testing.T) {
	signed, unsigned := l.signed(t, "shop/web:v1"), l.Push(t, "shop/unsigned:v1")
	eve := bundletest.Identity{Email: "eve@example.com", Issuer: builder.Issuer}
	failing := l.With(l.faulty(t, func(writer http.ResponseWriter, _ *http.Request) {
		writer.WriteHeader(http.StatusServiceUnavailable)
	}))
	shown := outputs{}
	for name, test := range map[string]refusal{
		"accepted": {prod, signed, "accepted", 0, []string{
			"signed: a signature by ", "requirement 1: met: sigstoreSigned: ",
		}},
		"unsigned": {prod, unsigned, "unsigned", 1, []string{
			"requirement 1: not met: sigstoreSigned: a signature by ", "the registry has no signature",
			"to make it pass: sign it: cosign sign --key cosign.key -a docker-reference=",
		}},
		"other-key": {prod, l.signedBy(t, "shop/other-key:v1", l.other), "rejected", 1, []string{
			"signature-1 claims: sigstore, identity ", "to make it pass: sign it again with the key of the requirement",
		}},
		"other-name": {exact, signed, "rejected", 1, []string{"to make it pass: sign it again under that name"}},
		"not-logged": {logged, signed, "rejected", 1, []string{"to make it pass: sign it again with a transparency log"}},
		"accepted-identity": {
			builds, l.byIdentity(t, "shop/built:v1", builder, true), "accepted", 0,
			[]string{"signed: a signature by build@example.com", "signer build@example.com; issuer https://issuer.example"},
		},
		"other-identity": {builds, l.byIdentity(t, "shop/by-eve:v1", eve, true), "rejected", 1, []string{
			"signer eve@example.com", "requirement 1: not met: sigstoreSigned: a signature by build@example.com",
			"to make it pass: sign it again as build@example.com",
		}},
		"no-name": {builds, l.byIdentity(t, "shop/nameless:v1", builder, false), "rejected", 1, []string{
			"names no repository", `identity = "digest"`,
		}},
		"no-certificate": {company, signed, "rejected", 1, []string{"release@example.com"}},
		"no-gpg-signature": {gpg, unsigned, "unsigned", 1, []string{
			"requirement 1: not met: signedBy: a GPG signature by ",
		}},
		"signed-base-layer": {baselayer, signed, "rejected", 1, []string{"no tool implements"}},
		"reject":            {forbidden, signed, "rejected", 1, []string{"to make it pass: no signature would help"}},
		"key-missing":       {lost, signed, "invalid-policy", 2, []string{"lost.pub", "can never be met"}},
		"broken-document":   {broken, signed, "invalid-policy", 2, []string{"broken.json"}},
		"unavailable": {prod, failing.Push(t, "down/web:v1"), "unavailable", 2, []string{
			"fetching signatures failed", "503",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := node.Pod{
				Namespace: test.namespace, Name: name, Container: node.Container{Name: "app", Image: test.image.Reference},
			}
			err := l.attempt(t, pod)
			if test.reason == "accepted" && err != nil || test.reason != "accepted" && !rig.IsRefused(err, test.reason) {
				t.Fatalf("it should be %s: %v", test.reason, err)
			}
			shown[name] = l.wantExplained(t, test, test.namespace+"/"+name)
		})
	}
	l.forgeries(t, unsigned, shown)
	l.pendings(t, shown)
	shown["absent"] = l.wantExplained(t, refusal{reason: "unavailable", status: 2, words: []string{"is not on this node"}},
		"-n", prod, l.Registry.Host+"/shop/absent:v1")
	l.compareDocs(t, shown)
}

// wantExplained waits until the decision is known, and checks its explanation.
func (l *lab) wantExplained(t *testing.T, want refusal, arguments ...string) string {
	t.Helper()
	if arguments[0] != "-n" {
		// The record of a decision is written after the answer.
		rig.Eventually(t, "the decision to be known", func() error {
			return l.explainable(t, want.reason, arguments[0])
		})
	}
	got := l.explain(t, arguments...)
	if got.status != want.status || !strings.Contains(strings.SplitN(got.text, "\n", 2)[0], "("+want.reason+")") {
		t.Errorf("exit status %d, want %d and %s:\n%s", got.status, want.status, want.reason, got.text)
	}
	for _, word := range want.words {
		if !strings.Contains(got.text, word) {
			t.Errorf("it lacks %q:\n%s", word, got.text)
		}
	}
	return l.anonymous(got.text)
}

// forgeries are containers whose image is not the one that their author seems to have written.
func (l *lab) forgeries(t *testing.T, unsigned node.Pushed, shown outputs) {
	t.Helper()
	host := l.hosts[loose]
	l.Pull(t, unsigned)
	for name, test := range map[string]struct{ reference, reason string }{
		"unknown-origin": {l.Registry.Host + "/shop/api:v1", "unknown-origin"},
		"bad-request":    {"docker://" + unsigned.Reference, "bad-request"},
	} {
		rig.Eventually(t, "a refusal that is confirmed", func() error {
			if err := l.forged(t, host, name, unsigned, test.reference); !rig.IsRefused(err, test.reason) {
				return fmt.Errorf("%s: %w", name, errors.Join(errors.New("it is not refused"), err))
			}
			return nil
		})
		status := map[string]int{"unknown-origin": 1, "bad-request": 2}[name]
		shown[name] = l.wantExplained(t, refusal{reason: test.reason, status: status},
			loose+"/"+host.Pod.Name+"/"+name)
	}
}

// pendings is an image whose registry does not answer requests for signatures.
func (l *lab) pendings(t *testing.T, shown outputs) {
	t.Helper()
	over := make(chan struct{})
	defer close(over)
	hanging := l.With(l.faulty(t, func(_ http.ResponseWriter, request *http.Request) {
		select {
		case <-over:
		case <-request.Context().Done():
		}
	}))
	image := hanging.Push(t, "slow/web:v1")
	l.Pull(t, image)
	shown["pending"] = l.wantExplained(t, refusal{reason: "pending", status: 2, words: []string{
		"nothing is known about signatures yet", "to make it pass: retry in a few seconds",
	}}, "-n", prod, image.Reference)
}

// faulty starts a registry that answers requests for signatures in its own way.
func (l *lab) faulty(t *testing.T, answer http.HandlerFunc) *node.Registry {
	t.Helper()
	return node.NewRegistry(t, node.RegistryConfig{InProcess: true, Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
			if strings.Contains(request.URL.Path, "/manifests/sha256-") || strings.Contains(request.URL.Path, "/referrers/") {
				answer(writer, request)
				return
			}
			next.ServeHTTP(writer, request)
		})
	}})
}

// anonymous replaces what differs between two runs.
func (l *lab) anonymous(text string) string {
	const pending = `(?m)^  \S+ \w+ of \S+: deny \(pending\)\n(    .*\n)?`
	for _, replaced := range []struct{ pattern, by string }{
		{regexp.QuoteMeta(l.PolicyDirectory()), "/etc/countersign/policies"},
		{`/[^ ,;]*/testdata/containers-image/`, "/etc/countersign/keys/"},
		{regexp.QuoteMeta(filepath.Dir(l.Key.Public)), "/etc/countersign/keys"},
		{regexp.QuoteMeta(l.Path("registries.d")), "/etc/containers/registries.d"},
		{regexp.QuoteMeta(l.Path("lost.pub")), "/etc/countersign/keys/lost.pub"},
		{`localhost:[0-9]+`, "registry.example"},
		{`\b(sha256[:=-])[0-9a-f]{64}`, "${1}9f2c…"},
		{`\b[0-9a-f]{64}\b`, "3f2a9c51d07e…"},
		{`20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`, "2026-11-29T10:00:00Z"},
		{`\b[0-9.]+(µs|ms|s)\b`, "1ms"},
		{` \(from the cache\)`, ""},
		{pending, ""}, // How often a decision was pending before depends on the time.
	} {
		text = regexp.MustCompile(replaced.pattern).ReplaceAllString(text, replaced.by)
	}
	return text
}
