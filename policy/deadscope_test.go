package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"go.podman.io/image/v5/docker"

	"github.com/countersign/countersign/policy"
)

const scopeDigest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// deadScopes returns scopes that nothing selects, and what to write instead; empty: unknown.
func deadScopes() map[string]string {
	return map[string]string{
		"nginx":                                 "docker.io/library/nginx",
		"nginx:1.27":                            "docker.io/library/nginx:1.27",
		"library/nginx":                         "docker.io/library/nginx",
		"bitnami/redis":                         "docker.io/bitnami/redis",
		"docker.io/nginx:1":                     "docker.io/library/nginx:1",
		"docker.io/nginx" + scopeDigest:         "docker.io/library/nginx" + scopeDigest,
		"index.docker.io":                       "docker.io",
		"index.docker.io/library/nginx":         "docker.io/library/nginx",
		"https://registry.example/app":          "registry.example/app",
		"http://registry.example":               "registry.example",
		"docker://registry.example/app:v1":      "registry.example/app:v1",
		"//registry.example/app":                "registry.example/app",
		"registry.example/":                     "registry.example",
		"registry.example/prod/":                "registry.example/prod",
		"registry.example/*":                    "registry.example",
		"registry.example/prod/*":               "registry.example/prod",
		"registry.example/Prod/App":             "registry.example/prod/app",
		"registry.example/app:v1" + scopeDigest: "registry.example/app" + scopeDigest,
		" registry.example/app":                 "registry.example/app",
		"registry.example/app\n":                "registry.example/app",
		"*.registry.example:5000":               "*.registry.example",
		"*.registry.example/app":                "*.registry.example",
		"registry example/app":                  "",
		"*":                                     "",
		"*registry.example":                     "",
		"*.*.example":                           "",
		"registry.*/app":                        "",
		"registry.example/a*":                   "",
		"registry.example//app":                 "",
		"registry.example/app:":                 "",
		"registry.example/app:v 1":              "",
		"registry.example/app@sha256:0123":      "",
		"registry.example/-app":                 "",
		"registry.example/app_":                 "",
		"registry..example/app":                 "",
		"registry.example:port/app":             "",
		"..":                                    "",
		"@":                                     "",
		"\x00\n":                                "",
		"registry.example/app:" + strings.Repeat("t", 129): "",
	}
}

func TestScopesThatCanNeverMatch(t *testing.T) {
	for scope, instead := range deadScopes() {
		dead := policy.CheckScope(scope)
		if dead == nil {
			t.Errorf("%q counts as a scope that can match", scope)
			continue
		}
		if dead.Why == "" || dead.Instead != instead {
			t.Errorf("%q: %q, and %q instead, want %q", scope, dead.Why, dead.Instead, instead)
		}
	}
	for _, scope := range liveScopes() {
		if dead := policy.CheckScope(scope); dead != nil {
			t.Errorf("%q counts as dead: %s", scope, dead)
		}
	}
}

// liveScopes returns scopes that a reference selects.
func liveScopes() []string {
	return []string{
		"", "docker.io", "docker.io/library", "docker.io/library/nginx", "docker.io/nginx", "docker.io/library/nginx:1",
		"registry.example", "registry.example:5000", "registry.example/prod", "registry.example/prod/app:v1",
		"registry.example/app" + scopeDigest, "localhost", "localhost:5000/app", "127.0.0.1:5000", "*.example", "*.com",
		"*.registry.example", "Registry.example/app", "REGISTRY", "[::1]:5000/app", "host:5000",
		"registry.example/a/b/c/d", "registry.example/" + strings.Repeat("a", 255),
	}
}

// FuzzScopes: containers/image finds no reference for a dead scope, and the scopes above another one are found without
// a reference too.
func FuzzScopes(f *testing.F) {
	for scope := range deadScopes() {
		f.Add(scope, scope)
		f.Add(scope, "registry.example/prod/app:v1")
		f.Add(scope, "nginx")
	}
	for _, scope := range liveScopes() {
		f.Add(scope, scope)
	}
	f.Fuzz(func(t *testing.T, scope, image string) {
		dead := policy.CheckScope(scope)
		if from := policy.ScopesFromReference(scope); from != nil && !slices.Equal(from, policy.ScopesAbove(scope)) {
			t.Errorf("above %q are %q, want %q", scope, policy.ScopesAbove(scope), from)
		}
		if dead != nil && dead.Instead != "" && policy.CheckScope(dead.Instead) != nil {
			t.Errorf("%q: what to write instead is dead: %q", scope, dead.Instead)
		}
		for _, s := range []string{image, scope, scope + "/a", strings.Replace(scope, "*", "a", 1) + "/a"} {
			ref, err := policy.Normalize(s)
			if err != nil {
				continue
			}
			if selects(ref, scope) && dead != nil {
				t.Errorf("%q is selected by %q but counts as dead: %s", scope, ref, dead)
			}
		}
	})
}

// selects reports whether containers/image, which supports no IPv6 hosts, looks up the scope.
func selects(named reference.Named, scope string) bool {
	ref, err := docker.NewReference(named)
	if err != nil {
		return false
	}
	return scope == ref.PolicyConfigurationIdentity() || slices.Contains(ref.PolicyConfigurationNamespaces(), scope)
}
