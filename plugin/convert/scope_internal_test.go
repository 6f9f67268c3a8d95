package convert

import "testing"

func TestThePatternsOfImagesThatScopesCanSay(t *testing.T) {
	for pattern, want := range map[string]string{
		"ghcr.io":                    "ghcr.io",
		"ghcr.io/**":                 "ghcr.io",
		"ghcr.io/acme/app":           "ghcr.io/acme/app",
		"ghcr.io/acme/app:v1":        "ghcr.io/acme/app:v1",
		"ghcr.io/acme/app:*":         "ghcr.io/acme/app",
		"ghcr.io/acme/app@*":         "ghcr.io/acme/app",
		"ghcr.io/acme/app@sha256:*":  "ghcr.io/acme/app",
		"localhost:5000/app":         "localhost:5000/app",
		"localhost:5000/**":          "localhost:5000",
		"localhost/app":              "localhost/app",
		"busybox":                    "docker.io/library/busybox",
		"busybox:1.37":               "docker.io/library/busybox:1.37",
		"acme/app":                   "docker.io/acme/app",
		"acme/**":                    "docker.io/acme",
		"docker.io/busybox":          "docker.io/library/busybox",
		"docker.io/acme/**":          "docker.io/acme",
		"docker.io/**":               "docker.io",
		"index.docker.io/library/**": "docker.io/library",
		"index.corp.example/app":     "index.corp.example/app",
	} {
		scope, wider, err := scopeOf(pattern, false)
		if scope != want || wider || err != nil {
			t.Errorf("%s: scope %q, wider %t, %v; want %q", pattern, scope, wider, err, want)
		}
	}
	for pattern, want := range map[string]string{"ghcr.io/acme/*": "ghcr.io/acme", "*.corp.example/**": "*.corp.example"} {
		if scope, wider, err := scopeOf(pattern, false); scope != want || !wider || err != nil {
			t.Errorf("%s: scope %q, wider %t, %v; want %q, which is wider", pattern, scope, wider, err, want)
		}
	}
	if scope, wider, err := scopeOf("ghcr.io/acme/*", true); scope != "ghcr.io/acme" || wider || err != nil {
		t.Errorf("scope %q, wider %t, %v", scope, wider, err)
	}
}

func TestThePatternsOfImagesThatNoScopeCanSay(t *testing.T) {
	for _, pattern := range []string{
		"", "*", "**", "*/**", "ghcr.io/acme*", "ghcr.io/*/app", "ghcr.io/a?", "*corp.example/**", "ghcr.io*",
		"*.corp.example", "ghcr.io/acme/**/app:*",
	} {
		if scope, _, err := scopeOf(pattern, false); err == nil {
			t.Errorf("%q: scope %q", pattern, scope)
		}
	}
	if scope, _, err := scopeOf("*.corp.example/*", true); err == nil {
		t.Errorf("an asterisk that matches slashes: scope %q", scope)
	}
}
