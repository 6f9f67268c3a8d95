package kubeletcreds_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/registry/kubeletcreds"
)

// The rules are the kubelet's (Kubernetes v1.36, pkg/credentialprovider: config.go and keyring.go).
func TestAFileOfCredentialsIsReadAsTheKubeletReadsIt(t *testing.T) {
	a, b := auth("a", "1"), auth("b", "2")
	unpadded := strings.TrimRight(auth("a", "12"), "=")
	both := `{"auths":{"r.example":{"auth":"` + a + `"},"r.example/team":{"auth":"` + b + `"}}}`
	for name, test := range map[string]struct{ file, image, want string }{
		"auth": {
			`{"auths":{"r.example":{"auth":"` + a + `"}}}`,
			"r.example/app", "a:1",
		},
		"auth without padding": {
			`{"auths":{"r.example":{"auth":"` + unpadded + `"}}}`,
			"r.example/app", "a:12",
		},
		"username and password without auth": {
			`{"auths":{"r.example":{"username":"a","password":"1"}}}`,
			"r.example/app", "a:1",
		},
		"auth before username and password": {
			`{"auths":{"r.example":{"username":"x","password":"y","auth":"` + a + `"}}}`, "r.example/app", "a:1",
		},
		"an email and other fields": {
			`{"auths":{"r.example":{"auth":"` + a + `","email":"x@y"}},"HttpHeaders":{"X":"y"}}`, "r.example/app", "a:1",
		},
		"a password with a colon": {
			`{"auths":{"r.example":{"auth":"` + auth("a", "1:2") + `"}}}`, "r.example/app", "a:1:2",
		},
		"an identity token":         {`{"auths":{"r.example":{"identitytoken":"t"}}}`, "r.example/app", ":t"},
		"a trailing slash":          {`{"auths":{"r.example/":{"auth":"` + a + `"}}}`, "r.example/app", "a:1"},
		"https":                     {`{"auths":{"https://r.example":{"auth":"` + a + `"}}}`, "r.example/app", "a:1"},
		"http and a trailing slash": {`{"auths":{"http://r.example/":{"auth":"` + a + `"}}}`, "r.example/app", "a:1"},
		"the first API": {
			`{"auths":{"https://r.example/v1/":{"auth":"` + a + `"}}}`,
			"r.example/app", "a:1",
		},
		"the second API": {`{"auths":{"r.example/v2/":{"auth":"` + a + `"}}}`, "r.example/app", "a:1"},
		"the second API and a path": {
			`{"auths":{"r.example/v2/team":{"auth":"` + a + `"}}}`,
			"r.example/team/app", "a:1",
		},
		"a port": {
			`{"auths":{"r.example:5000":{"auth":"` + a + `"}}}`,
			"r.example:5000/app", "a:1",
		},
		"another port":           {`{"auths":{"r.example:5000":{"auth":"` + a + `"}}}`, "r.example/app", ""},
		"a glob":                 {`{"auths":{"*.example":{"auth":"` + a + `"}}}`, "r.example/app", "a:1"},
		"a glob in a part":       {`{"auths":{"r*.e*ample":{"auth":"` + a + `"}}}`, "r1.example/app", "a:1"},
		"a glob is of one part":  {`{"auths":{"*.example":{"auth":"` + a + `"}}}`, "r.s.example/app", ""},
		"a path before the host": {both, "r.example/team/app", "b:2 a:1"},
		"a path that only begins alike": {
			`{"auths":{"r.example/team":{"auth":"` + a + `"}}}`, "r.example/teams/app", "a:1",
		},
		"all that match, the last in text order first": {
			`{"auths":{"*.example":{"auth":"` + a + `"},"r.example":{"username":"c","password":"3"},` +
				`"r.example/team/app":{"identitytoken":"t"},"r.example/team":{"auth":"` + b + `"},` +
				`"s.example":{"auth":"` + a + `"}}}`,
			"r.example/team/app", ":t b:2 c:3 a:1",
		},
		"a glob with a port": {`{"auths":{"*.example:5000":{"auth":"` + a + `"}}}`, "r.example:5000/app", "a:1"},
		"a glob and a path":  {`{"auths":{"*.example/team":{"auth":"` + a + `"}}}`, "r.example/team/app", "a:1"},
		"a host and its URL": {
			`{"auths":{"r.example":{"auth":"` + a + `"},"https://r.example/v2/":{"auth":"` + b + `"}}}`,
			"r.example/app", "b:2 a:1",
		},
		"docker's own by name before its index": {
			`{"auths":{"docker.io":{"auth":"` + a + `"},"https://index.docker.io/v1/":{"auth":"` + b + `"}}}`,
			"docker.io/library/x", "a:1",
		},
		"an IPv6 address": {`{"auths":{"[2001:db8::1]:5000":{"auth":"` + a + `"}}}`, "[2001:db8::1]:5000/app", "a:1"},
		"another path":    {both, "r.example/other", "a:1"},
		"a path and a trailing slash": {
			`{"auths":{"r.example/team/":{"auth":"` + a + `"}}}`,
			"r.example/team/app", "a:1",
		},
		"another host":   {both, "s.example/app", ""},
		"the older file": {`{"r.example":{"auth":"` + a + `","email":"x@y"}}`, "r.example/app", "a:1"},
		"the older file, by URL": {
			`{"https://r.example/v1/":{"username":"a","password":"1"}}`,
			"r.example/app", "a:1",
		},
		"docker's own, as docker does": {
			`{"auths":{"https://index.docker.io/v1/":{"auth":"` + a + `"}}}`,
			"docker.io/library/x", "a:1",
		},
		"docker's own, by its index": {
			`{"auths":{"index.docker.io":{"auth":"` + a + `"}}}`,
			"docker.io/library/x", "a:1",
		},
		"docker's own, by its name": {
			`{"auths":{"docker.io":{"auth":"` + a + `"}}}`,
			"docker.io/library/x", "a:1",
		},
		"docker's own, by a path": {
			`{"auths":{"docker.io/team":{"auth":"` + a + `"}}}`,
			"docker.io/team/x", "a:1",
		},
		"docker's own, not for others": {
			`{"auths":{"https://index.docker.io/v1/":{"auth":"` + a + `"}}}`,
			"localhost/x", "",
		},
		"the next where one cannot be used": {
			`{"auths":{"r.example":{"auth":"` + a + `"},"r.example/team":{"auth":"!"}}}`, "r.example/team/app", "a:1",
		},
		"a problem of another entry": {
			`{"auths":{"r.example":{"auth":"` + a + `"},"s.example":{"auth":"!"}}}`,
			"r.example/app", "a:1",
		},
		"only helpers":          {`{"credHelpers":{"s.example":"x"},"credsStore":"desktop"}`, "r.example/app", ""},
		"an entry with nothing": {`{"auths":{"r.example":{}},"credsStore":"desktop"}`, "r.example/app", ""},
		"no entries":            {`{"auths":null}`, "r.example/app", ""},
		"not base64": {
			`{"auths":{"r.example":{"auth":"!secret"}}}`, "r.example/app",
			`the entry "r.example" cannot be used: its auth is not base64`,
		},
		"no colon": {
			`{"auths":{"r.example":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("secret")) + `"}}}`, "r.example/app",
			`the entry "r.example" cannot be used: its auth is not username:password in base64`,
		},
		"another form": {
			`{"auths":{"r.example":"secret"}}`, "r.example/app",
			`the entry "r.example" cannot be used: it is not an object of strings`,
		},
		"another form of it all": {`{"auths":["secret"]}`, "r.example/app", "auths is not an object"},
		"no JSON": {
			`{"auths":{"r.example":{"auth":secret}}}`,
			"r.example/app", "it is not JSON: byte",
		},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := kubeletcreds.CredentialsIn([]byte(test.file), test.image)
			got := strings.Join(all, " ")
			if err != nil {
				got = err.Error()
			}
			if got != test.want && (err == nil || !strings.HasPrefix(got, test.want) || test.want == "") {
				t.Errorf("%q, not %q", got, test.want)
			}
			if err != nil && strings.Contains(got, "secret") {
				t.Errorf("it tells too much: %q", got)
			}
		})
	}
}

func auth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}
